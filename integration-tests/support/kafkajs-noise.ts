// Two warnings that kafkajs 2 gives on every run, whatever its user does. All others stay.

process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'

const emitWarning = process.emitWarning.bind(process) as (...args: unknown[]) => void
process.emitWarning = (...args: unknown[]): void => {
  // Its request queue sets timers for moments already past.
  if (args[1] !== 'TimeoutNegativeWarning') emitWarning(...args)
}
