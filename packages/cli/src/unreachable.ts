/** The broker does not answer, or does not let us in. */
export class BrokerUnreachableError extends Error {
  constructor(broker: string, address: string, cause: unknown) {
    super(`cannot reach ${broker} at ${address}: ${reasonOf(cause)}`)
    this.name = 'BrokerUnreachableError'
  }
}

/** The innermost reason, on one line: clients wrap what the socket said. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'no reason given'
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0])
  const inner = cause.cause
  if (inner instanceof Error) return reasonOf(inner)
  return (cause.message.replace(/^Connection error: /, '') || cause.name).split('\n', 1)[0] ?? cause.name
}
