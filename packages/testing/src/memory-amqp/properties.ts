import type { MessageProperties, PublishOptions } from './shape.ts'

/** What amqplib would put on the wire of a caller's options. */
export function toProperties({ headers, CC, BCC, persistent, deliveryMode, ...options }: PublishOptions): MessageProperties {
  const mode = persistent === undefined ? (typeof deliveryMode === 'number' ? deliveryMode : deliveryMode ? 2 : undefined) : persistent ? 2 : 1
  return {
    contentType: options.contentType,
    contentEncoding: options.contentEncoding,
    headers: copyTable({ ...headers, ...(CC !== undefined && { CC: [CC].flat() }), ...(BCC !== undefined && { BCC: [BCC].flat() }) }),
    deliveryMode: mode,
    priority: options.priority,
    correlationId: options.correlationId,
    replyTo: options.replyTo,
    expiration: undefined,
    messageId: options.messageId,
    timestamp: options.timestamp,
    type: options.type,
    userId: options.userId,
    appId: options.appId,
    clusterId: undefined,
  }
}

export function copyProperties(properties: MessageProperties): MessageProperties {
  return { ...properties, headers: properties.headers && copyTable(properties.headers) }
}

/** Undefined values are not sent. */
function copyTable(table: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(table).flatMap(([name, value]) => (value === undefined ? [] : [[name, copyValue(value)]])))
}

function copyValue(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(copyValue)
  return typeof value === 'object' && value !== null ? copyTable(value as Record<string, unknown>) : value
}
