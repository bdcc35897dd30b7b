import { SealbusError } from './errors.ts'

/** What an option may be set to; an integer. */
export interface Bound {
  readonly default: number
  readonly least: number
  readonly most: number
}

/**
 * The numbers of an option, each given or its default; frozen, because what is shown of them must not change what is in force.
 * @throws ERR_SEALBUS_INVALID_OPTION for one out of range, and for a name that is none: its default might be weaker than what was meant
 */
export function within<Name extends string>(option: string, bounds: Readonly<Record<Name, Bound>>, given: Readonly<Partial<Record<Name, number>>> | undefined): Readonly<Record<Name, number>> {
  checkNames(`\`${option}\``, bounds, given)
  const names = Object.keys(bounds) as Name[]
  return Object.freeze(Object.fromEntries(names.map((name) => [name, one(`${option}.${name}`, bounds[name], given?.[name])])) as Record<Name, number>)
}

/**
 * That every name of the options is one that is known: a misspelt one must not silently mean its default.
 * @throws ERR_SEALBUS_INVALID_OPTION
 */
export function checkNames(option: string, known: object, given: object | undefined): void {
  for (const name of Object.keys(given ?? {})) if (!Object.hasOwn(known, name)) throw invalid(`${option} has no ${JSON.stringify(name)}`)
}

/**
 * That the objects are there which the work is done with, each by its methods: callers without types find out now, not with the first message.
 * @throws ERR_SEALBUS_INVALID_OPTION
 */
export function checkParts(option: string, parts: Readonly<Record<string, readonly string[]>>, given: object | undefined): void {
  const values = (given ?? {}) as Readonly<Record<string, unknown>>
  for (const [name, methods] of Object.entries(parts)) {
    const value = values[name] as Readonly<Record<string, unknown>> | null | undefined
    if (methods.some((method) => typeof value?.[method] !== 'function')) throw invalid(`${option} needs \`${name}\`, which has ${methods.map((method) => `${method}()`).join(' and ')}`)
  }
}

/** An option that is one number. @throws ERR_SEALBUS_INVALID_OPTION for one out of range */
export function one(name: string, { default: fallback, least, most }: Bound, value: number = fallback): number {
  if (!Number.isInteger(value) || value < least || value > most) throw invalid(`\`${name}\` is an integer from ${least} to ${most}`)
  return value
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
