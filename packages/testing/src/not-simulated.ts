/**
 * Something was asked of a broker in memory that it does not simulate; see `MEMORY_KAFKA_FEATURES` and
 * `MEMORY_AMQP_FEATURES`. It says so rather than pretend: what would pass here could fail on a real broker.
 */
export class NotSimulatedError extends Error {
  override readonly name = 'NotSimulatedError'
  /** The feature, as it is named in the declaration of features. */
  readonly feature: string
  /** For a consumer's loop: trying again does not help. */
  readonly retriable = false

  constructor(feature: string, detail: string) {
    super(`${detail}: a broker in memory does not simulate this (feature ${feature}). Test it on a real one`)
    this.feature = feature
  }
}

/** A member of the client that is not simulated: it is there, and rejects. */
export function rejecting(feature: string, member: string): (...args: unknown[]) => Promise<never> {
  return () => Promise.reject(new NotSimulatedError(feature, member))
}

/** The same, for a member that returns no promise. */
export function throwing(feature: string, member: string): (...args: unknown[]) => never {
  return () => {
    throw new NotSimulatedError(feature, member)
  }
}
