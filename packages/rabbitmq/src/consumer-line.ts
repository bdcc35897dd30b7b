import { AsyncLocalStorage } from 'node:async_hooks'
import type { SealbusError } from '@sealbus/core'
import { callOut } from '@sealbus/core/adapter'
import type { AmqpMessage, ConsumeOptions } from './client-shape.ts'
import type { DeliveryLedger } from './delivery-ledger.ts'
import type { MessageOpening, Opening } from './message-opening.ts'
import { pause } from './pause.ts'
import type { PromisedChannel } from './promised.ts'
import { goesWithoutConsumer, resumed } from './resumption.ts'
import type { Settler, Wait } from './settle.ts'

/** A consumer that was stopped because of a message: it is cancelled, and what its handler was not given is back in the queue. */
export interface StoppedConsumer {
  /** The queue that it consumed; `consume` on it starts anew. */
  readonly queue: string
  /** Why the message did not open. It holds no plaintext and no key. */
  readonly error: SealbusError
  /** Of the message that stopped it, on the channel that delivered it. */
  readonly deliveryTag: number
}

export interface LineOptions {
  readonly target: PromisedChannel
  readonly queue: string
  readonly consumeOptions: ConsumeOptions
  readonly opening: MessageOpening
  readonly settler: Settler
  readonly ledger: DeliveryLedger
  /** The application's; `null` says that the broker cancelled the consumer. */
  readonly handler: (message: AmqpMessage | null) => unknown
  /** How long a delivery may stay withheld, in milliseconds; after that it is given back. */
  readonly releaseAfterMs: number
  readonly onStopped: ((stopped: StoppedConsumer) => void) | undefined
  /** What to do with an error that the handler throws when the client is not there to see it. */
  readonly surface: (thrown: unknown) => void
}

/** The deliveries of one consumer, in their order: a message that opens slowly, or not yet, is never overtaken. */
export interface ConsumerLine {
  readonly queue: string
  readonly tag: string | undefined
  readonly state: 'running' | 'holding' | 'stopped' | 'ended'
  /** Why it is holding or stopped. */
  readonly error: SealbusError | undefined
  readonly waitingFor: Wait['waitingFor'] | 'operator' | undefined
  /** False while it is stopped, or waits for a parking place that failed it more than once. */
  readonly healthy: boolean
  /** For the client. While nothing waits, a message goes to the handler in this very call. */
  readonly accept: (message: AmqpMessage | null) => void
  started(tag: string): void
  /** The caller cancels it: if it is away for a hold, it does not come back meanwhile. */
  leave(): void
  /** Forgets what waits, because the broker has taken it back and delivers it again. */
  forget(): void
  /** Gives no more messages out. What waits is returned to the queue, or left to the end of the channel. */
  end(waiting: 'requeue' | 'leave'): void
}

interface Waiting {
  readonly message: AmqpMessage
  readonly arrivedMs: number
  /** Where the client delivered it: its trace, for one, is not that of the message before it. */
  readonly context: ReturnType<typeof AsyncLocalStorage.snapshot>
  /** What is known already; undefined: `open()` tells. */
  opening: Opening | undefined
  tried: boolean
}

export function createConsumerLine(options: LineOptions): ConsumerLine {
  const { target, queue, consumeOptions, opening, settler, ledger, handler, releaseAfterMs, surface } = options
  const waiting: (Waiting | null)[] = []
  let state: ConsumerLine['state'] = 'running'
  let tag: string | undefined
  let running = false
  let leaving = false
  let error: SealbusError | undefined
  /** Of the message at the head, also when it was released and came back; another may come in its place. */
  let hold: Hold | undefined
  let waitingFor: ConsumerLine['waitingFor']
  let current = new AbortController()

  const isOver = (): boolean => state === 'stopped' || state === 'ended'
  const interrupt = (): void => {
    current.abort()
    current = new AbortController()
  }

  /** The message at the head is settled, or given. */
  const goOn = (): void => {
    hold = error = waitingFor = undefined
    if (state === 'holding') state = 'running'
  }

  const give = (message: AmqpMessage, view: AmqpMessage): void => {
    goOn()
    ledger.give(message, view)
    void handler(view)
  }

  const cancelled = (): void => {
    if (state !== 'stopped') state = 'ended'
    void handler(null)
  }

  /** Takes everything off the line, and returns it to the queue; a cancellation stays. */
  const requeue = (): void => {
    for (const each of waiting) if (each) ledger.requeueWithheld(each.message)
    clear()
  }
  const clear = (): void => {
    const ended = waiting.includes(null)
    waiting.length = 0
    if (ended) waiting.push(null)
  }

  const holdFor = async (wait: Wait, why: SealbusError, signal: AbortSignal): Promise<void> => {
    state = 'holding'
    error = why
    // What was tried for a key is no failure of the parking place.
    if (hold && waitingFor !== wait.waitingFor) hold.attempts = 0
    waitingFor = wait.waitingFor
    if (hold) hold.attempts++
    await pause(wait.retryInMs, signal)
  }

  const becomeStopped = (why: SealbusError): void => {
    state = 'stopped'
    error = why
    waitingFor = 'operator'
  }

  const tellStopped = (why: SealbusError, deliveryTag: number): void => {
    const { onStopped } = options
    // Some errors stop although there is a parking place. Nobody listens then, perhaps; it is said aloud all the same.
    if (onStopped) callOut(() => onStopped({ queue, error: why, deliveryTag }))
    else process.emitWarning(`message ${deliveryTag} stopped the consumer of the queue ${JSON.stringify(queue)}: ${why.message}`, { type: 'SealbusWarning', code: why.code })
  }

  const stop = async (why: SealbusError, deliveryTag: number): Promise<void> => {
    becomeStopped(why)
    // Nothing goes back before the broker has cancelled the consumer: it would be delivered here again.
    await target.cancel(tag ?? '').catch(() => {})
    requeue()
    if (waiting.includes(null)) handing(cancelled)
    tellStopped(why, deliveryTag)
  }

  /** Before the broker closes the channel because of a delivery that nobody settles. */
  const release = async (head: Waiting, why: SealbusError, signal: AbortSignal): Promise<void> => {
    if (!goesWithoutConsumer(head.message)) {
      requeue()
      return
    }
    await target.cancel(tag ?? '').catch(() => {})
    requeue()
    if (waiting.includes(null)) return
    // What was withheld is in the queue again; this copy only tells when to go on.
    while (!signal.aborted) {
      const decision = settler.decide(why, hold ?? newHold(head.message))
      if (decision.disposition === 'stop') {
        becomeStopped(why)
        tellStopped(why, head.message.fields.deliveryTag)
        return
      }
      if (decision.disposition !== 'hold') break
      await holdFor({ waitingFor: 'key', retryInMs: decision.retryInMs }, why, signal)
      const result = await opening.open(head.message, signal)
      if (!('error' in result)) break
      why = result.error
    }
    if (signal.aborted || leaving) return
    try {
      await target.consume(queue, accept, resumed(consumeOptions, tag, head.message))
    } catch {
      // The queue went away meanwhile: to the handler, that is a cancelled consumer.
      if (!signal.aborted) handing(cancelled)
    }
  }

  /** Calls the handler while the client is not there to see what it throws. */
  const handing = (hand: () => void): void => {
    try {
      hand()
    } catch (thrown) {
      surface(thrown)
    }
  }

  const step = async (head: Waiting, signal: AbortSignal): Promise<void> => {
    const { message } = head
    if (!head.tried) {
      head.tried = true
      head.opening = opening.openNow(message)
    }
    const result = head.opening ?? (await opening.open(message, signal))
    if (signal.aborted) return
    if ('view' in result) {
      waiting.shift()
      handing(() => head.context(give, message, result.view))
      return
    }
    if (!hold?.content.equals(message.content)) hold = newHold(message)
    const settlement = await settler.settle(message, result.error, hold)
    if (signal.aborted) return
    if (settlement === 'settled') {
      waiting.shift()
      goOn()
    } else if (settlement === 'stop') {
      await stop(result.error, message.fields.deliveryTag)
    } else {
      const left = consumeOptions.noAck ? Infinity : head.arrivedMs + releaseAfterMs - Date.now()
      await holdFor({ ...settlement, retryInMs: Math.max(0, Math.min(settlement.retryInMs, left)) }, result.error, signal)
      if (!signal.aborted && left <= settlement.retryInMs) await release(head, result.error, signal)
      // Transient reasons are looked at again; others are only waiting for the parking place.
      if (result.error.transient || result.error.code === 'ERR_SEALBUS_NOT_A_RECIPIENT') head.opening = undefined
    }
  }

  const run = async (): Promise<void> => {
    running = true
    try {
      while (!isOver()) {
        const head = waiting[0]
        if (head === undefined) break
        if (head === null) {
          waiting.shift()
          handing(cancelled)
        } else {
          await step(head, current.signal)
        }
      }
    } finally {
      running = false
    }
  }

  const accept = (message: AmqpMessage | null): void => {
    if (message) {
      tag ??= message.fields.consumerTag
      if (!consumeOptions.noAck) ledger.withhold(message)
    }
    // A stopped consumer's last deliveries wait for its cancellation, and go back with the others.
    if (isOver() && !running) {
      if (message) ledger.requeueWithheld(message)
      else if (state === 'stopped') cancelled()
      return
    }
    if (!message) {
      if (running) waiting.push(null)
      else cancelled()
      return
    }
    const result = running ? undefined : opening.openNow(message)
    if (result && 'view' in result) {
      give(message, result.view)
      return
    }
    waiting.push({ message, arrivedMs: Date.now(), context: AsyncLocalStorage.snapshot(), opening: result, tried: !running })
    if (!running) run().catch(surface)
  }

  return {
    queue,
    get tag() {
      return tag
    },
    get state() {
      return state
    },
    get error() {
      return error
    },
    get waitingFor() {
      return waitingFor
    },
    get healthy() {
      return state !== 'stopped' && !(waitingFor === 'parking place' && hold !== undefined && hold.attempts > 1)
    },
    accept,
    started(consumerTag): void {
      tag = consumerTag
    },
    leave(): void {
      leaving = true
    },
    forget(): void {
      clear()
      interrupt()
    },
    end(what): void {
      if (!isOver()) state = 'ended'
      if (what === 'requeue') requeue()
      interrupt()
    },
  }
}

interface Hold {
  readonly content: Buffer
  attempts: number
  readonly heldSinceMs: number
}

const newHold = ({ content }: AmqpMessage): Hold => ({ content, attempts: 0, heldSinceMs: Date.now() })
