/** An error that looks as kafkajs' own does: its users tell them apart by `name`, `type` and `retriable`. */
export class MemoryKafkaError extends Error {
  override readonly name: string
  readonly retriable: boolean
  readonly type: string | undefined

  constructor(name: string, message: string, { retriable = false, type, cause }: { retriable?: boolean; type?: string; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = name
    this.retriable = retriable
    this.type = type
  }
}

export function nonRetriable(message: string, cause?: unknown): MemoryKafkaError {
  return new MemoryKafkaError('KafkaJSNonRetriableError', message, { cause })
}

export function unknownTopic(): MemoryKafkaError {
  return new MemoryKafkaError('KafkaJSProtocolError', 'This server does not host this topic-partition', { retriable: true, type: 'UNKNOWN_TOPIC_OR_PARTITION' })
}
