import { InvalidArgumentError } from 'commander'

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** An argument such as `90s`, `15m`, `36h` or `7d`, in milliseconds. */
export function parseDuration(given: string): number {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(given) ?? []
  if (amount === undefined || unit === undefined) throw new InvalidArgumentError('It is a whole number with s, m, h or d, such as 7d.')
  return Number(amount) * UNITS[unit as keyof typeof UNITS]
}
