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
  /** The ids of which a reply from this queue must name one; undefined where nobody here asked. Several where requests share a correlation id. */
  expected(queue: string, message: AmqpMessage): ReadonlySet<string> | undefined
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
    asks: ({ replyTo, correlationId }, id) => sent.add(replyTo, correlationId, id),
    asked: ({ properties: { replyTo, correlationId } }, id) => received.add(replyTo, correlationId, id),
    answered: ({ exchange, routingKey }, { correlationId }) => (exchange === '' ? received.of(routingKey, correlationId)?.latest : undefined),
    expected: (queue, { properties: { correlationId } }) => sent.of(queue, correlationId)?.ids,
  }
}

interface Requests {
  readonly ids: Set<string>
  latest: string
}

interface Memory {
  add(queue: unknown, correlationId: unknown, id: string | undefined): void
  of(queue: unknown, correlationId: unknown): Requests | undefined
}

function createMemory(): Memory {
  /** In the order of their latest request. */
  const requests = new Map<string, Requests>()
  let remembered = 0
  const keyOf = (queue: unknown, correlationId: unknown): string | undefined => (typeof queue === 'string' && typeof correlationId === 'string' ? `${correlationId} ${queue}` : undefined)

  const forgetOldest = (): void => {
    for (const [key, { ids }] of requests) {
      for (const id of ids) {
        ids.delete(id)
        remembered--
        if (ids.size === 0) requests.delete(key)
        return
      }
    }
  }

  return {
    add(queue, correlationId, id): void {
      const key = keyOf(queue, correlationId)
      if (key === undefined || id === undefined) return
      const known = requests.get(key) ?? { ids: new Set(), latest: id }
      remembered += known.ids.has(id) ? 0 : 1
      known.ids.add(id)
      known.latest = id
      requests.delete(key)
      requests.set(key, known)
      if (remembered > REMEMBERED) forgetOldest()
    },
    of(queue, correlationId): Requests | undefined {
      const key = keyOf(queue, correlationId)
      return key === undefined ? undefined : requests.get(key)
    },
  }
}
