import { createPrivateMark } from '@sealbus/core/adapter'
import type { AmqpMessage, SettlingChannel } from './client-shape.ts'
import type { Methods } from './delegation.ts'
import { isOfStream } from './resumption.ts'

/**
 * The unsettled deliveries of one channel: those that a handler was given, and those that were withheld so far.
 * The caller's acknowledgements are translated, so that "all" means all that was given.
 */
export interface DeliveryLedger {
  withhold(message: AmqpMessage): void
  /** Whether it is withheld still: the broker may have taken it back. */
  withholds(message: AmqpMessage): boolean
  /** From now on it is the handler's to settle, by the view that it is given. */
  give(message: AmqpMessage, view: AmqpMessage): void
  /** Acknowledges a delivery that no handler was given. Nothing happens when it is not withheld any more. */
  ackWithheld(message: AmqpMessage): void
  /** Returns a delivery that no handler was given to its queue, once. */
  requeueWithheld(message: AmqpMessage): void
  /** Hands a delivery that no handler was given to the queue's dead-letter exchange. */
  rejectWithheld(message: AmqpMessage): void
  /** While a `get` is under way, a delivery may have arrived that is not entered yet. */
  fetching<Value>(fetch: () => Promise<Value>): Promise<Value>
  /** Forgets everything: the broker has taken all deliveries back. */
  clear(): void
  /** `ack`, `ackAll`, `nack`, `nackAll`, `reject`, for the wrapper. */
  readonly methods: Methods
}

/** The caller's side of a channel: what settles messages that were given. */
interface Settling {
  ack(message: AmqpMessage, allUpTo?: boolean): void
  nack(message: AmqpMessage, allUpTo?: boolean, requeue?: boolean): void
  reject(message: AmqpMessage, requeue?: boolean): void
}

/**
 * The channel that a message was given on, marked on its `fields`, which a spread copy of the message shares. Delivery
 * tags start again on every channel: a late acknowledgement would settle another message on a new one.
 */
const givenOn = createPrivateMark<Settling>()

export function createDeliveryLedger(target: SettlingChannel): DeliveryLedger {
  const withheld = new Map<number, AmqpMessage>()
  const given = new Map<number, AmqpMessage>()
  let fetches = 0

  const settleWithheld = (message: AmqpMessage, settle: (message: AmqpMessage) => void): void => {
    if (withheld.delete(message.fields.deliveryTag)) quietly(() => settle(message))
  }

  /** The delivery as it came from the client, which instrumentation knows it by. */
  const take = (message: AmqpMessage): AmqpMessage => {
    const { deliveryTag } = message.fields
    const original = given.get(deliveryTag) ?? message
    given.delete(deliveryTag)
    return original
  }

  /** Settles what was given up to a delivery; with the protocol's `multiple` only where that takes no other with it. */
  const upTo = (message: AmqpMessage, settle: (message: AmqpMessage, multiple: boolean) => void): void => {
    const last = message.fields.deliveryTag
    const before = [...given.keys()].filter((tag) => tag < last).toSorted((one, other) => one - other)
    const original = take(message)
    const multiple = fetches === 0 && ![...withheld.keys()].some((tag) => tag <= last)
    for (const tag of before) {
      const each = given.get(tag)
      given.delete(tag)
      if (!multiple && each) settle(each, false)
    }
    settle(original, multiple)
  }

  /** Not the protocol's tag 0: that takes deliveries with it that are still on their way to a handler. */
  const all = (settle: (message: AmqpMessage, multiple: boolean) => void): void => {
    const last = given.get([...given.keys()].reduce((one, other) => Math.max(one, other), 0))
    if (last) upTo(last, settle)
  }

  const settling: Settling = {
    ack(message, allUpTo): void {
      if (allUpTo) upTo(message, (each, multiple) => target.ack(each, multiple))
      else target.ack(take(message), allUpTo)
    },
    nack(message, allUpTo, requeue): void {
      if (allUpTo) upTo(message, (each, multiple) => target.nack(each, multiple, requeue))
      else target.nack(take(message), allUpTo, requeue)
    },
    reject(message, requeue): void {
      target.reject(take(message), requeue)
    },
  }

  /** Settles on the channel that gave the message; for one that is gone, the broker has taken the message back. */
  const settle = (message: AmqpMessage, how: (on: Settling) => void): void => {
    const on = givenOn.of(message.fields) ?? settling
    if (on === settling) how(on)
    else quietly(() => how(on))
  }

  return {
    withhold(message): void {
      withheld.set(message.fields.deliveryTag, message)
    },
    withholds: (message) => withheld.has(message.fields.deliveryTag),
    give(message, view): void {
      if (!withheld.delete(message.fields.deliveryTag)) return
      given.set(message.fields.deliveryTag, message)
      givenOn.set(view.fields, settling)
    },
    ackWithheld(message): void {
      settleWithheld(message, (each) => target.ack(each))
    },
    requeueWithheld: (message) => settleWithheld(message, (each) => refuse(target, each, true)),
    rejectWithheld: (message) => settleWithheld(message, (each) => refuse(target, each, false)),
    async fetching<Value>(fetch: () => Promise<Value>): Promise<Value> {
      fetches++
      try {
        return await fetch()
      } finally {
        fetches--
      }
    },
    clear(): void {
      withheld.clear()
      given.clear()
    },
    methods: {
      ack: (message: AmqpMessage, allUpTo?: boolean) => settle(message, (on) => on.ack(message, allUpTo)),
      nack: (message: AmqpMessage, allUpTo?: boolean, requeue?: boolean) => settle(message, (on) => on.nack(message, allUpTo, requeue)),
      reject: (message: AmqpMessage, requeue?: boolean) => settle(message, (on) => on.reject(message, requeue)),
      ackAll: () => all((each, multiple) => target.ack(each, multiple)),
      nackAll: (requeue?: boolean) => all((each, multiple) => target.nack(each, multiple, requeue)),
    },
  }
}

/** A stream keeps what is acknowledged. */
function refuse(target: SettlingChannel, message: AmqpMessage, requeue: boolean): void {
  if (isOfStream(message)) target.ack(message)
  else target.nack(message, false, requeue)
}

/** Settles on a channel that may be closed: its deliveries are back in their queues then. */
function quietly(settle: () => void): void {
  try {
    settle()
  } catch {
    // As said.
  }
}
