import { type Opener, SealbusError } from '@sealbus/core'
import { checkNames, createDispositions, type DispositionOptions } from '@sealbus/core/adapter'
import type { ConsumerLike, InnerConsumer, Place, RunConfig, TopicPartitions } from './client-shape.ts'
import { toEachBatch } from './consuming.ts'
import { wrap } from './delegation.ts'
import { createHolds, type Holds } from './holds.ts'
import { createOpening } from './opening.ts'
import { checkParkingPlace, createParking, type ParkedMessage, type Parking, type ParkingPlace } from './parking.ts'
import { createSettler, type StoppedMessage } from './settle.ts'

/** What `openConsumer` needs to know, and `sealKafka` for each of its consumers. */
export interface OpenConsumerOptions {
  /** Opens what comes; its channels say which topics are sealed, and whether plain messages are taken too. */
  readonly opener: Opener
  /** The consumer's group: it names who parked. `sealKafka` fills it in. */
  readonly groupId: string
  /** Where messages go that cannot be opened. Without it, they stop their partition. */
  readonly park?: ParkingPlace
  /** Called when a message was parked, once for each copy. A manual committer learns here that the place may move past it. */
  readonly onParked?: (message: ParkedMessage) => void
  /**
   * Called when a message stopped its partition. Required where no parking place is given; where one is, some errors
   * stop all the same (an undeclared topic, a forbidden key, a message too large to be parked), and without this are
   * told as a warning of the process.
   */
  readonly onStopped?: (message: StoppedMessage) => void
  /** What happens to messages that cannot be opened, where there is a choice. Default: parked, or stopped at where nothing is given to park in. */
  readonly dispositions?: DispositionOptions
}

/** What `consumerHealth` needs of a wrapped consumer. */
export interface ConsumerState {
  readonly halts: Holds['list']
}

/**
 * Wraps a consumer so that its handlers see plaintext. `run` takes the same configuration; the client itself runs
 * `eachBatch` with auto-resolve off, and `eachMessage` and auto-resolve are done on top of that.
 *
 * A message that cannot be opened is parked, skipped by choice, held until its key is there, or stops its partition;
 * it is never dropped, and never kills the consumer. Seeking past a message that stopped its partition goes on there.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION, ERR_SEALBUS_ALREADY_WRAPPED
 */
export function openConsumer<Consumer extends ConsumerLike>(consumer: Consumer, options: OpenConsumerOptions): Consumer {
  checkNames('openConsumer', { ...CONSUMER_OPTIONS, groupId: true }, options)
  checkConsuming(options)
  const { opener, groupId, park, onParked, onStopped, dispositions = {} } = options
  if (typeof groupId !== 'string' || groupId === '') throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`groupId` is the name of the consumer group')
  const target = consumer as unknown as InnerConsumer
  const holds = createHolds(target)
  const parking = park && createParking(park, groupId, onParked)
  const open = createOpening(opener, holds, createSettler({ holds, dispositions, parking, onStopped }))
  let running = new AbortController()
  // A client without events commits what is resolved by itself, or leaves it to the caller: never by our asking.
  const commitsOnRequest = target.events !== undefined
  followGroup(target, holds, parking)

  /** Waits and holds end before the client is asked to: it would wait for them. */
  const end = (): void => {
    running.abort()
    holds.end()
  }

  const state: ConsumerState = {
    halts: () => {
      const assigned = assignmentOf(target)
      if (assigned) holds.keepOnly(assigned)
      return holds.list()
    },
  }
  return wrap(
    consumer,
    {
      run(config: RunConfig): Promise<void> {
        // Nothing to open for: the client's own complaint, or its own silence.
        if (!config?.eachMessage && !config?.eachBatch) return target.run(config)
        // A second run() without a stop() is ignored by the client: the first one's signal stays the one to end.
        if (running.signal.aborted) running = new AbortController()
        const { eachMessage: _eachMessage, ...rest } = config
        const autoCommit = commitsOnRequest && config.autoCommit !== false
        const eachBatch = toEachBatch({ config, autoCommit, open, holds, signal: () => running.signal, onResolved: (place, offset) => parking?.forget(place, offset) })
        return target.run({ ...rest, eachBatchAutoResolve: false, eachBatch })
      },
      pause: (topicPartitions: readonly TopicPartitions[]): void => holds.pause(topicPartitions),
      resume: (topicPartitions: readonly TopicPartitions[]): void => holds.resume(topicPartitions),
      seek(place: Place & { offset: string }): void {
        target.seek(place)
        parking?.forget(place)
        holds.release(place)
      },
      async stop(): Promise<void> {
        end()
        try {
          await target.stop()
        } catch (error) {
          // Confluent's client cannot stop, and says so: it goes on.
          running = new AbortController()
          holds.releaseAll()
          throw error
        }
      },
      disconnect: (): Promise<void> => {
        end()
        return target.disconnect()
      },
    },
    state,
  )
}

/** The names of the options that `sealKafka` has too, for the check that none is misspelt. */
export const CONSUMER_OPTIONS: Record<keyof Omit<OpenConsumerOptions, 'groupId'>, true> = { opener: true, park: true, onParked: true, onStopped: true, dispositions: true }

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkConsuming({ opener, park, onStopped, dispositions = {} }: Omit<OpenConsumerOptions, 'groupId'>): void {
  if (!opener) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'an `opener` is needed')
  if (!park && typeof onStopped !== 'function') {
    throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'without a parking place (`park`), a message that cannot be opened stops its partition: `onStopped` must be given')
  }
  if (park) checkParkingPlace(park)
  createDispositions(dispositions, park !== undefined)
}

/** Which places are still this consumer's, where the client says so on request and not by events. */
function assignmentOf(consumer: InnerConsumer): ((place: Place) => boolean) | undefined {
  try {
    const assigned = consumer.assignment?.()
    return assigned && (({ topic, partition }) => assigned.some((each) => each.topic === topic && each.partition === partition))
  } catch {
    // Not connected.
    return undefined
  }
}

/** Where the client tells of its group: after a rebalance, a lost partition is another member's to hold; after a stop, nothing is paused. */
function followGroup(consumer: InnerConsumer, holds: Holds, parking: Parking | undefined): void {
  const listen = (name: string, listener: (event: unknown) => void): void => {
    const event = consumer.events?.[name]
    if (event !== undefined) consumer.on?.(event, listener)
  }
  listen('GROUP_JOIN', (event) => {
    const { payload } = event as { payload?: { memberAssignment?: Readonly<Record<string, readonly number[]>> } }
    const assignment = payload?.memberAssignment
    parking?.forgetAll()
    if (assignment) holds.keepOnly(({ topic, partition }) => assignment[topic]?.includes(partition) ?? false)
  })
  // Also when the client crashes and starts anew by itself.
  listen('STOP', () => holds.end())
}
