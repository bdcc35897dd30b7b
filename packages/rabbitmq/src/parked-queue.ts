import { SealbusError } from '@sealbus/core'
import type { AmqpMessage, ConfirmingChannel, PublishOptions, SettlingChannel } from './client-shape.ts'
import { copiedProperties } from './copied-properties.ts'
import { wrappingOf } from './delegation.ts'

/** A connection of amqplib's promise API, recovering or not. */
export interface ReadableConnection {
  createConfirmChannel(...given: never[]): Promise<unknown>
}

/** The members of its confirm channel that are used here. */
interface ReadingChannel extends ConfirmingChannel, Pick<SettlingChannel, 'ack' | 'nackAll'> {
  checkQueue(queue: string): Promise<{ messageCount: number }>
  get(queue: string, options: { noAck: boolean }): Promise<AmqpMessage | false>
  close(): Promise<void>
}

/** What becomes of one message: `ack`ed, it leaves the parking queue; `leave`: it stays there. */
export type Fate = 'ack' | 'leave'

export interface QueueReading {
  readonly queue: string
  /** Decides about each message, one after the other. */
  readonly show: (message: AmqpMessage, publish: Publish) => Promise<Fate>
  /** Offered the count of messages that there are, before the first is shown. */
  readonly onTotal?: (total: number) => void
  /** Looked at before each message. */
  readonly enough: () => boolean
  /** A queue that has to be there. */
  readonly to?: string | undefined
}

/** To a queue, by the default exchange. Resolves when the broker has confirmed that the queue has it. */
export type Publish = (queue: string, content: Buffer, options: PublishOptions) => Promise<void>

/** A broker that has not confirmed by then is blocked, or the channel is stuck. */
const CONFIRM_TIMEOUT_MS = 30_000

/**
 * Reads the messages that are in a queue when the reading begins, on a channel of its own. What is left stays
 * unacknowledged until the end, and returns to its place then.
 *
 * Rejects with what the client or `show` rejects with; what was not acknowledged is back in the queue then.
 */
export async function readQueue(connection: ReadableConnection, { queue, show, onTotal, enough, to }: QueueReading): Promise<void> {
  if (wrappingOf(connection)) throw invalid('the connection itself is needed, not a wrapped one: parked copies are read as they are')
  const channel = (await connection.createConfirmChannel()) as ReadingChannel
  // The call that is under way rejects with it.
  channel.on('error', () => {})
  const publish = publisherOf(channel)
  try {
    const { messageCount } = await channel.checkQueue(queue)
    if (to !== undefined) await channel.checkQueue(to)
    onTotal?.(messageCount)
    let kept = 0
    // No more than there were: what parks again meanwhile is behind them.
    for (let left = messageCount; left > 0 && !enough(); left--) {
      const message = await channel.get(queue, { noAck: false })
      if (!message) break
      const fate = await show(message, publish)
      if (fate === 'leave') kept++
      if (fate === 'leave' && wasReturned(message)) await moveToEnd(queue, message, publish)
      else if (fate === 'leave') continue
      channel.ack(message)
    }
    channel.nackAll(true)
    await returnedTo(channel, queue, kept)
  } finally {
    await closed(channel)
  }
}

/** A quorum queue takes its time to have back what was returned, and until then another reading would not be told of it. */
async function returnedTo(channel: ReadingChannel, queue: string, count: number): Promise<void> {
  for (const until = Date.now() + LONGEST_RETURN_MS; Date.now() < until; ) {
    const { messageCount } = await channel.checkQueue(queue)
    if (messageCount >= count) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** No longer: somebody else may be taking them. */
const LONGEST_RETURN_MS = 2_000

/** A channel that the broker has closed throws, and would hide why. */
async function closed(channel: ReadingChannel): Promise<void> {
  try {
    await channel.close()
  } catch {}
}

/**
 * A quorum queue counts how often a message was returned, and drops it at its limit: one that was returned before is
 * copied to the end of the queue instead, where the count begins anew. One of which a copy would lose something is returned.
 */
function wasReturned(message: AmqpMessage): boolean {
  return Number(message.properties.headers?.['x-delivery-count'] ?? 0) > 0 && copiedProperties(message).whole
}

async function moveToEnd(queue: string, { content, properties }: AmqpMessage, publish: Publish): Promise<void> {
  const { 'x-delivery-count': _count, 'x-acquired-count': _acquired, ...headers } = properties.headers ?? {}
  await publish(queue, content, { ...(properties as PublishOptions), headers })
}

function publisherOf(channel: ReadingChannel): Publish {
  let returned = false
  // One at a time: what is returned before the confirm is the message that is under way.
  channel.on('return', () => void (returned = true))
  return (queue, content, options) =>
    new Promise((resolve, reject) => {
      returned = false
      const settle = (failure: Error | null): void => {
        clearTimeout(timer)
        if (returned) reject(new SealbusError('ERR_SEALBUS_UNROUTABLE', `the queue ${JSON.stringify(queue)} took no message: it is gone`))
        else if (failure) reject(failure)
        else resolve()
      }
      const timer = setTimeout(() => settle(new Error(`the broker confirmed no message in ${CONFIRM_TIMEOUT_MS / 1_000} s`)), CONFIRM_TIMEOUT_MS)
      timer.unref()
      channel.publish('', queue, content, { ...options, mandatory: true }, (failure) => settle(failure as Error | null))
    })
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
