const NAMES = { 403: 'ACCESS_REFUSED', 404: 'NOT_FOUND', 405: 'RESOURCE_LOCKED', 406: 'PRECONDITION_FAILED' } as const

/** What the broker closes a channel with. */
export class ChannelFailure extends Error {
  override readonly name = 'ChannelFailure'
  readonly code: keyof typeof NAMES

  constructor(code: keyof typeof NAMES, reason: string) {
    super(`${code} (${NAMES[code].replace('_', '-')}) with message "${NAMES[code]} - ${reason}"`)
    this.code = code
  }
}

export const noQueue = (name: string): ChannelFailure => new ChannelFailure(404, `no queue '${name}' in vhost '/'`)
export const noExchange = (name: string): ChannelFailure => new ChannelFailure(404, `no exchange '${name}' in vhost '/'`)
export const locked = (name: string): ChannelFailure =>
  new ChannelFailure(405, `cannot obtain exclusive access to locked queue '${name}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`)
export const inequivalent = (kind: 'queue' | 'exchange', name: string, argument: string, received: unknown, current: unknown): ChannelFailure =>
  new ChannelFailure(406, `inequivalent arg '${argument}' for ${kind} '${name}' in vhost '/': received '${String(received)}' but current is '${String(current)}'`)

/** As amqplib gives it to listeners, and to calls: `method` is the one that was answered with it. */
export function clientError({ message, code }: ChannelFailure, method?: string): Error & { code: number } {
  return Object.assign(new Error(method === undefined ? `Channel closed by server: ${message}` : `Operation failed: ${method}; ${message}`), { code })
}

/** A channel or connection was used that is closing, or closed. */
export class IllegalOperationError extends Error {
  override readonly name = 'IllegalOperationError'
}
