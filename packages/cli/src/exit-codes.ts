/** What the process ends with; part of the command line's interface. After a signal it is 128 and the signal's number, as shells have it. */
export const EXIT = {
  ok: 0,
  /** The command ran, and what it checked does not hold; or what was asked for is refused. */
  failed: 1,
  /** Wrong arguments. */
  usage: 2,
  /** A broker or an endpoint cannot be reached. */
  unreachable: 3,
} as const
