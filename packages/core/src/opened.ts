import { types } from 'node:util'
import { createPrivateMark } from './private-mark.ts'

/** Facts about a message that was opened. Authenticated by the envelope, unlike the transport's own headers. */
export interface Opened {
  readonly id: string | undefined
  /** When it was sealed, by the sealer's clock, in whole seconds. */
  readonly time: Date | undefined
  readonly channel: string
  /** The key that opened it. */
  readonly kid: string
  /** The verified sender; undefined without signed messages, because recipients' keys are public. */
  readonly sender: string | undefined
  /** Id of the request that this message answers. */
  readonly inReplyTo: string | undefined
  /** The sealed bytes as they came: passes through a sealing producer unchanged, for retry topics and forwarding. */
  readonly envelope: Buffer
}

/** Registered, not private: the accessor works across two copies of the package. Enumerable, so that it survives spreading. */
const OPENED = Symbol.for('sealbus.opened')

/**
 * What is known about a message that a handler was given: of kafkajs, amqplib, or a copy of one made by spreading.
 * Undefined for a plain message, a tombstone, or anything else.
 */
export function opened(message: object): Opened | undefined {
  const value: unknown = Reflect.get(message, OPENED)
  return typeof value === 'object' && value !== null ? (value as Opened) : undefined
}

/** Marks a message object, made by an adapter, as opened. */
export function markOpened<Message extends object>(message: Message, { id, time, channel, kid, sender, inReplyTo, envelope }: Opened): Message {
  // The facts by name: a rest of what was opened costs a microsecond.
  const facts: Opened = { id, time, channel, kid, sender, inReplyTo, envelope }
  ;(message as { [OPENED]?: Opened })[OPENED] = facts
  return message
}

interface EnvelopeFacts {
  readonly channel: string
  readonly id: string | undefined
}

const openedEnvelopes = createPrivateMark<EnvelopeFacts>()

/** Remembers that these bytes are an envelope that was opened here. */
export function rememberEnvelope(envelope: Buffer, facts: EnvelopeFacts): void {
  openedEnvelopes.set(envelope, facts)
}

/** The facts of an envelope that was opened here: this very object, not a copy. Undefined for any other value. */
export function openedEnvelope(value: unknown): EnvelopeFacts | undefined {
  return types.isUint8Array(value) ? openedEnvelopes.of(value) : undefined
}
