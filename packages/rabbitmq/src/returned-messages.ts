import { createHash } from 'node:crypto'
import type { AmqpMessage, Emitter } from './client-shape.ts'
import type { Address } from './outgoing.ts'

/**
 * Mandatory messages under way. One that no queue takes is returned, and confirmed all the same: only the event tells,
 * and it comes before the confirm.
 */
export interface ReturnedMessages {
  /** Hears what a channel returns. */
  listen(channel: Emitter): void
  /** Publishes, and resolves to whether the message was returned. */
  watch<Reply>(address: Address, content: Buffer, publish: () => Promise<Reply>): Promise<{ reply: Reply; returned: boolean }>
}

export function createReturnedMessages(): ReturnedMessages {
  /** By address and content. Two of one kind are of one fate: an event marks one of them, and the other's marks the other. */
  const underWay = new Map<string, Set<{ returned: boolean }>>()
  const keyOf = ({ exchange, routingKey }: Address, content: Buffer): string => createHash('sha256').update(JSON.stringify([exchange, routingKey])).update(content).digest('base64')
  return {
    listen(channel): void {
      channel.on('return', (message) => {
        const { fields, content } = message as AmqpMessage
        for (const each of underWay.get(keyOf(fields, content)) ?? []) {
          if (each.returned) continue
          each.returned = true
          return
        }
      })
    },
    async watch(address, content, publish) {
      const key = keyOf(address, content)
      const entry = { returned: false }
      const entries = underWay.get(key) ?? new Set()
      underWay.set(key, entries.add(entry))
      try {
        const reply = await publish()
        return { reply, returned: entry.returned }
      } finally {
        entries.delete(entry)
        if (entries.size === 0) underWay.delete(key)
      }
    },
  }
}
