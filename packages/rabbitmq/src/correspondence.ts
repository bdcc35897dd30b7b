import type { Channels } from '@sealbus/core'
import type { AmqpMessage, PublishOptions } from './client-shape.ts'
import type { Address } from './outgoing.ts'

/**
 * Which reply answers which request. AMQP tells it by `replyTo` and `correlationId`, which the broker could swap; the
 * id of the request goes inside the reply, as `re`, and is compared by who asked. Kept for a process, not for a
 * channel: frameworks ask on one and answer on another.
 */
export interface Correspondence {
  /** A request goes out. */
  asks(options: PublishOptions, id: string): void
  /** A request was opened. */
  asked(message: AmqpMessage, id: string | undefined): void
  /** The id of the request that a message to this address answers. */
  answered(address: Address, options: PublishOptions): string | undefined
  /** The id that a reply from this queue must name; undefined where nobody here asked. */
  expected(queue: string, message: AmqpMessage): string | undefined
}

/** Requests that are remembered on each side; older ones are forgotten first. */
const REMEMBERED = 10_000

const kept = new WeakMap<Channels, Correspondence>()

/** One for each declaration of channels, which the sealers and openers of a service share. */
export function correspondenceOf(channels: Channels): Correspondence {
  const made = kept.get(channels) ?? createCorrespondence()
  kept.set(channels, made)
  return made
}

function createCorrespondence(): Correspondence {
  const sent = createMemory()
  const received = createMemory()
  return {
    asks: ({ replyTo, correlationId }, id) => sent.set(replyTo, correlationId, id),
    asked: ({ properties: { replyTo, correlationId } }, id) => received.set(replyTo, correlationId, id),
    answered: ({ exchange, routingKey }, { correlationId }) => (exchange === '' ? received.get(routingKey, correlationId) : undefined),
    expected: (queue, { properties: { correlationId } }) => sent.get(queue, correlationId),
  }
}

interface Memory {
  set(queue: unknown, correlationId: unknown, id: string | undefined): void
  get(queue: unknown, correlationId: unknown): string | undefined
}

function createMemory(): Memory {
  const ids = new Map<string, string>()
  const keyOf = (queue: unknown, correlationId: unknown): string | undefined => (typeof queue === 'string' && typeof correlationId === 'string' ? `${correlationId} ${queue}` : undefined)
  return {
    set(queue, correlationId, id): void {
      const key = keyOf(queue, correlationId)
      if (key === undefined || id === undefined) return
      ids.delete(key)
      ids.set(key, id)
      if (ids.size > REMEMBERED) for (const oldest of ids.keys()) return void ids.delete(oldest)
    },
    get(queue, correlationId): string | undefined {
      const key = keyOf(queue, correlationId)
      return key === undefined ? undefined : ids.get(key)
    },
  }
}
