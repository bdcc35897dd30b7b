/** One batch that the client hands over. */
export interface Turn {
  /** Aborted when the consumer is stopped: ends what waits. */
  readonly signal: AbortSignal
  /** Whether the client has stopped, or the partition's place was moved: what is found out then counts for nothing. */
  ended(): boolean
}
