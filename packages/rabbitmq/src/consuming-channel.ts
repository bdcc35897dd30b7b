import { type Channel, type Opener, SealbusError } from '@sealbus/core'
import { checkNames, createDispositions, type DispositionOptions } from '@sealbus/core/adapter'
import type { AmqpMessage, ConsumeOptions, ConsumingChannel } from './client-shape.ts'
import { type ConsumerLine, createConsumerLine, type StoppedConsumer } from './consumer-line.ts'
import { type Methods, type RoleParts, wrap } from './delegation.ts'
import { createDeliveryLedger } from './delivery-ledger.ts'
import { createFetch } from './fetching.ts'
import { closeLikeClient } from './handler-errors.ts'
import { createMessageOpening } from './message-opening.ts'
import { createParking, type ParkedMessage, type Parking, type ParkingPlace } from './parking.ts'
import { type Answer, promised, type PromisedChannel } from './promised.ts'
import { checkUnmanaged } from './publishing-channel.ts'
import { createSettler, type Settler } from './settle.ts'

/** What `openChannel` is given. A name that is none of these is ERR_SEALBUS_INVALID_OPTION. */
export interface OpenChannelOptions {
  /** Opens what is delivered. It stays the caller's, and may serve many channels; its declared channels say which queues may be consumed. */
  readonly opener: Opener
  /** Where messages go that cannot be opened. Without one, they stop their consumer. */
  readonly park?: ParkingPlace
  /**
   * Called once for each consumer that a message stopped; what it throws is ignored. Required where no parking place is
   * given. Some errors stop beside one too: without this they are a warning of the process (`SealbusWarning`).
   */
  readonly onStopped?: (stopped: StoppedConsumer) => void
  /** Called for each message that was parked: after its copy was confirmed and it was acknowledged, or when it was rejected to its dead-letter exchange. */
  readonly onParked?: (parked: ParkedMessage) => void
  /** What happens to messages that do not open, where the defaults are not wanted. 'park' needs a parking place. */
  readonly dispositions?: DispositionOptions
  /**
   * The broker's `consumer_timeout` in milliseconds: a message that waits for keys is given back at 80 % of it, so
   * that the broker does not close the channel. To be set where the broker's is lower. Default 1,800,000 (30 min), as
   * RabbitMQ's; an integer from 1,000.
   */
  readonly consumerTimeoutMs?: number
}

const OPTIONS: Record<keyof OpenChannelOptions, true> = { opener: true, park: true, onStopped: true, onParked: true, dispositions: true, consumerTimeoutMs: true }

/** What the wrapper keeps for `channelHealth` and for closing. */
export interface ConsumingState {
  readonly lines: ReadonlySet<ConsumerLine>
  /** Ends all waiting; deliveries that nobody was given are left for the broker to return. */
  end(): void
}

/**
 * Wraps a channel so that `consume` and `get` deliver what they open. The order of a consumer's deliveries is kept, and
 * acknowledgements, `ackAll`, `nackAll` and `allUpTo` included, settle only what was delivered. The Sealbus channel is
 * the one that matches the queue's name.
 *
 * A message that does not open is parked, skipped or held, or stops its consumer: see `dispositions`. While it is held,
 * it stays unacknowledged, and later ones of the same consumer wait behind it; set a prefetch, which bounds them.
 *
 * `close` ends all waiting first; what nobody was given goes back to its queue with the channel.
 *
 * `consume` rejects with ERR_SEALBUS_UNDECLARED_CHANNEL, and with ERR_SEALBUS_INVALID_OPTION for `noAck` where a message
 * could be held or stop the consumer: with a parking exchange it is allowed, and a message that waits is lost when the
 * process ends (at most once). Direct replies, from `amq.rabbitmq.reply-to`, are always taken so. `get` goes on to the next message after one that was parked or skipped, and rejects
 * with the error of any other, which goes back to its queue; where the queue counts that, it stays for the next `get`.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED, ERR_SEALBUS_INVALID_OPTION
 */
export function openChannel<C extends ConsumingChannel>(channel: C, options: OpenChannelOptions): C {
  checkUnmanaged(channel)
  const checked = checkConsuming(options)
  return wrap(channel, 'consuming', (target) => consuming(target, options, checked))
}

/** For a service that was given no opener: consuming is refused, so that no envelope passes for a message. */
export function refuseConsuming<C extends ConsumingChannel>(channel: C): C {
  return wrap(channel, 'consuming', (target) => {
    const refuse = (callback?: Answer): unknown => promised(target).answer(callback, Promise.reject(invalid('consuming needs an `opener`: none was given')))
    return {
      methods: {
        consume: (_queue: string, _onMessage: unknown, _given?: unknown, callback?: Answer) => refuse(callback),
        get: (_queue: string, _given?: unknown, callback?: Answer) => refuse(callback),
      },
    }
  })
}

export interface CheckedConsuming {
  readonly parking: Parking | undefined
  readonly releaseAfterMs: number
}

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkConsuming(options: OpenChannelOptions): CheckedConsuming {
  checkNames('opening a channel', OPTIONS, options)
  const { park, onStopped, dispositions = {}, consumerTimeoutMs = 30 * 60_000 } = options
  if (!park && !onStopped) throw invalid('`onStopped` is required where no parking place is given: a message that cannot be opened stops its consumer')
  if (!Number.isInteger(consumerTimeoutMs) || consumerTimeoutMs < 1_000) throw invalid('`consumerTimeoutMs` is an integer from 1,000')
  createDispositions(dispositions, park !== undefined)
  return { parking: park && createParking(park), releaseAfterMs: consumerTimeoutMs * 0.8 }
}

function consuming(target: ConsumingChannel, options: OpenChannelOptions, { parking, releaseAfterMs }: CheckedConsuming): RoleParts {
  const { opener, onStopped, onParked, dispositions = {} } = options
  const asked = promised(target)
  const ledger = createDeliveryLedger(target)
  const lines = new Set<ConsumerLine>()
  const fetching = new AbortController()

  const end = (): void => {
    fetching.abort()
    for (const line of lines) line.end('leave')
    ledger.clear()
  }
  target.once('close', end)

  const surface = (thrown: unknown): void => closeLikeClient(target, thrown, end)

  // A direct reply is in no queue that could move it.
  const parkingOf = (queue: string): Parking | undefined => (queue === DIRECT_REPLY_TO && parking?.leaves === 'rejected' ? undefined : parking)

  const settlerFor = (queue: string): Settler => createSettler({ queue, ledger, dispositions, parking: parkingOf(queue), onParked })

  const declaredAt = (queue: string): Channel => {
    const declared = opener.channels.at(queue)
    if (!declared.plaintext) parking?.check(queue)
    return declared
  }

  const consume = async (queue: string, onMessage: (message: AmqpMessage | null) => unknown, consumeOptions: ConsumeOptions): Promise<unknown> => {
    const declared = declaredAt(queue)
    if (consumeOptions.noAck && !declared.plaintext) checkNoAck(queue, dispositions, parking)
    const line = createConsumerLine({
      target: asked,
      queue,
      consumeOptions,
      opening: createMessageOpening(opener, declared.name, queue),
      settler: settlerFor(queue),
      ledger,
      handler: onMessage,
      releaseAfterMs,
      onStopped,
      surface,
    })
    // A consumer that starts anew takes the place of one that was stopped.
    for (const each of lines) if (each.state === 'ended' || (each.state === 'stopped' && each.queue === queue)) lines.delete(each)
    lines.add(line)
    try {
      const reply = await asked.consume(queue, line.accept, consumeOptions)
      line.started(reply.consumerTag)
      return reply
    } catch (error) {
      lines.delete(line)
      throw error
    }
  }

  const cancel = async (consumerTag: string): Promise<unknown> => {
    for (const line of lines) if (line.tag === consumerTag) line.leave()
    const reply = await asked.cancel(consumerTag)
    for (const line of lines) {
      if (line.tag !== consumerTag) continue
      line.end('requeue')
      if (line.state === 'ended') lines.delete(line)
    }
    return reply
  }

  const get = createFetch({ target: asked, ledger, opener, channelAt: declaredAt, settlerFor, releaseAfterMs, signal: fetching.signal })

  const recover = (): Promise<unknown> => {
    const recovered = asked.recover()
    for (const line of lines) line.forget()
    ledger.clear()
    return recovered
  }

  const close = (): Promise<unknown> => {
    end()
    return asked.close()
  }

  const kept: ConsumingState = { lines, end }
  const methods: Methods = {
    ...chained(ledger.methods, asked),
    consume: (queue: string, onMessage: (message: AmqpMessage | null) => unknown, given?: ConsumeOptions | null, callback?: Answer) => asked.answer(callback, consume(queue, onMessage, given ?? {})),
    cancel: (consumerTag: string, callback?: Answer) => asked.answer(callback, cancel(consumerTag)),
    get: (queue: string, given?: { readonly noAck?: boolean } | null, callback?: Answer) => asked.answer(callback, get(queue, given)),
    recover: (callback?: Answer) => asked.answer(callback, recover()),
    close: (callback?: Answer) => asked.answer(callback, close()),
  }
  return { methods, kept }
}

/** Settling returns what the client's does. */
function chained(methods: Methods, asked: PromisedChannel): Methods {
  const chain = (method: Methods[string]): Methods[string] => (...args) => {
    method(...args)
    return asked.chained
  }
  return Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, chain(method)]))
}

/** RabbitMQ's pseudo-queue for replies. It is consumed without acknowledgements, and lives as long as its channel. */
const DIRECT_REPLY_TO = 'amq.rabbitmq.reply-to'

/** Without acknowledgements there is nothing to hold, and nothing to return when a consumer stops. */
function checkNoAck(queue: string, { unavailable, keyMissing, notARecipient, failed }: DispositionOptions, parking: Parking | undefined): void {
  // Whoever waits for a reply has a time-out anyway.
  if (queue === DIRECT_REPLY_TO) return
  if (parking?.leaves === 'acknowledged' && !unavailable && keyMissing !== 'stop' && notARecipient !== 'stop' && failed !== 'stop') return
  throw invalid(`\`noAck\` on the queue ${JSON.stringify(queue)}: a message that is held or stops its consumer would be lost. Acknowledge, or give a parking exchange and no 'stop'`)
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
