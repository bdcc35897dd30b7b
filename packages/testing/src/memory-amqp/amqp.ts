import { type ChangeMessage, createBroker } from './broker.ts'
import { MemoryConnection } from './connection.ts'
import type { QueuedMessage } from './queue.ts'
import type { MemoryAmqpConnection } from './shape.ts'

/** A message that a queue holds. */
export interface StoredMessage extends QueuedMessage {
  /** `unacked`: a consumer has it, and has not settled it. */
  readonly state: 'ready' | 'unacked'
}

/** A RabbitMQ in this process, for clients with the shape of amqplib. What it does not simulate is in `MEMORY_AMQP_FEATURES`. */
export interface MemoryAmqp {
  /** Any arguments, such as a URL, are ignored. */
  connect(...args: readonly unknown[]): Promise<MemoryAmqpConnection>
  /** Every message that a queue holds, the unacked ones first; none where there is no such queue. */
  messages(queue: string): readonly StoredMessage[]
  /**
   * Plays a broker that changes what it was given: `change` is asked about every message that is ready in the queue, at
   * once, and about every one that is routed to it, until the returned function is called. It answers with the parts to
   * put in the message's place, or undefined. What a consumer was given already stays as it was.
   */
  tamper(queue: string, change: ChangeMessage): () => void
}

/** Starts with RabbitMQ's own exchanges and no queue. All connections share it; it ends with the process. */
export function createMemoryAmqp(): MemoryAmqp {
  const broker = createBroker()
  return {
    connect: async () => new MemoryConnection(broker),
    messages(queue): readonly StoredMessage[] {
      const { ready, unacked } = broker.inspect(queue)
      return [...unacked.map((message) => ({ ...message, state: 'unacked' as const })), ...ready.map((message) => ({ ...message, state: 'ready' as const }))]
    },
    tamper: (queue, change) => broker.tamper(queue, change),
  }
}
