import { SealbusError, type Sealer } from '@sealbus/core'
import { createKeyWait } from '@sealbus/core/adapter'
import { type Emitter, type ManagedChannel, onEachInner, type PublishOptions } from './client-shape.ts'
import { wrap } from './delegation.ts'
import { type Address, createOutgoingSeal, type Outgoing, sealedAhead } from './outgoing.ts'
import { type Answer, tell } from './promised.ts'
import { toSealOptions } from './properties.ts'
import { noSealer } from './publishing-channel.ts'
import type { ReturnedMessages } from './returned-messages.ts'

export interface ManagedSealing {
  readonly sealer: Sealer
  readonly maxMessageBytes: number
  readonly keyWaitMs: number
  readonly returns: ReturnedMessages
}

/** What the wrapper keeps for `channelHealth`, and for closing. */
export interface ManagedState {
  /** The amqplib channel of the present connection, wrapped; of the last one where there is none. */
  channel: Emitter | undefined
  /** Ends all waits for keys. */
  end(): void
}

/** All that a channel publishes is in one order. */
const LANE = ['channel']

/**
 * amqp-connection-manager's channel keeps what is not sent yet, or not confirmed, and publishes it again on the next
 * connection: messages are sealed before they come there, once, and its amqplib channels let them pass.
 */
export function sealManagedChannel<C extends ManagedChannel>(channel: C, json: boolean, { sealer, maxMessageBytes, keyWaitMs, returns }: ManagedSealing): C {
  const outgoing = createOutgoingSeal(sealer, maxMessageBytes)
  return wrap(channel, 'publishing', (target) => {
    const keys = createKeyWait(sealer, keyWaitMs)
    const kept = keeping(target, () => keys.end())
    onEachInner(target, (inner) => returns.listen(inner))

    const publish = async (address: Address, given: unknown, options: PublishOptions, send: (sealed: Outgoing) => Promise<boolean>): Promise<boolean> => {
      const channel = outgoing.channelOf(address, options)
      const messages = channel.plaintext ? [] : [toSealOptions(channel.name, options)]
      const asGiven = { content: toBuffer(given, json), options }
      // Where it has to wait, the caller may use its objects again.
      const plain = keys.now(LANE, messages) ? asGiven : copyOf(asGiven)
      return await keys.inOrder(LANE, messages, () => {
        if (channel.plaintext) return sendOne(address, plain, send)
        const sealed = outgoing.seal(address, plain.content, plain.options)
        // An opened message's envelope is still in the caller's hands, and is copied.
        const content = sealed.content === plain.content ? Buffer.from(sealed.content) : sealed.content
        sealedAhead.set(content, true)
        return sendOne(address, { ...sealed, content }, send)
      })
    }

    const sendOne = async (address: Address, message: Outgoing, send: (sealed: Outgoing) => Promise<boolean>): Promise<boolean> => {
      if (!message.options.mandatory) return await send(message)
      const { reply, returned } = await returns.watch(address, message.content, () => send(message))
      if (returned) throw new SealbusError('ERR_SEALBUS_UNROUTABLE', `no queue took the message for exchange ${JSON.stringify(address.exchange)} and routing key ${JSON.stringify(address.routingKey)}: the broker returned it`)
      return reply
    }

    return {
      methods: {
        publish: (exchange: string, routingKey: string, content: unknown, options?: PublishOptions | null, done?: Answer) =>
          answer(done, publish({ exchange, routingKey }, content, options ?? {}, (sealed) => target.publish(exchange, routingKey, sealed.content, sealed.options))),
        sendToQueue: (queue: string, content: unknown, options?: PublishOptions | null, done?: Answer) =>
          answer(done, publish({ exchange: '', routingKey: queue }, content, options ?? {}, (sealed) => target.sendToQueue(queue, sealed.content, sealed.options))),
        close(): Promise<void> {
          keys.end()
          return target.close()
        },
      },
      kept,
    }
  })
}

/** For a service that was given no sealer. */
export function refuseManagedPublishing<C extends ManagedChannel>(channel: C): C {
  const refuse = (...given: unknown[]): unknown => answer(given.find((each) => typeof each === 'function') as Answer | undefined, Promise.reject(noSealer()))
  return wrap(channel, 'publishing', (target) => ({ methods: { publish: refuse, sendToQueue: refuse }, kept: keeping(target, () => {}) }))
}

function keeping(target: ManagedChannel, end: () => void): ManagedState {
  const state: ManagedState = { channel: undefined, end }
  onEachInner(target, (inner) => (state.channel = inner))
  return state
}

const copyOf = ({ content, options }: Outgoing): Outgoing => ({ content: Buffer.from(content), options: { ...options, ...(options.headers && { headers: { ...options.headers } }) } })

/** What the manager would send, but for objects that it writes as their `toString()`: a Uint8Array as "1,2". */
function toBuffer(content: unknown, json: boolean): Buffer {
  if (json) return Buffer.from(JSON.stringify(content) ?? raise())
  if (Buffer.isBuffer(content)) return content
  if (content instanceof Uint8Array) return Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  if (typeof content === 'string') return Buffer.from(content)
  return raise()
}

function raise(): never {
  throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`content` is a Buffer or a text, or a JSON value where the channel has `json: true`')
}

function answer(done: Answer | undefined, reply: Promise<boolean>): Promise<boolean> | undefined {
  if (typeof done !== 'function') return reply
  void tell(done, reply)
  return undefined
}
