/** What the process ends with; part of the command line's interface. */
export const EXIT = {
  ok: 0,
  /** The command ran, and what it checked does not hold. */
  failed: 1,
  /** Wrong arguments. */
  usage: 2,
  /** A broker cannot be reached. */
  unreachable: 3,
  /** Ctrl-C, as shells have it: 128 and the signal's number. */
  interrupted: 130,
} as const
