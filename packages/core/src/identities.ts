import { hash } from 'node:crypto'
import { checkNames, one } from './bounds.ts'
import { callOut } from './call-out.ts'
import { isSealbusError, SealbusError } from './errors.ts'
import type { IdentityState, IdentityStore } from './identity.ts'
import { type IdentitySet, identitySet, invalid, reusing } from './identity-set.ts'
import { entriesOf, type IdentitySource, keysOf, readSource, type SourceContent } from './identity-source.ts'
import { LIMITS } from './limits.ts'

export type { IdentitySource } from './identity-source.ts'

/** How private keys are followed after they were loaded. */
export interface LoadIdentitiesOptions {
  /**
   * How often a file is looked at for changes, in milliseconds. Default 1,000; 100 to 3,600,000. `false`: it is read again
   * only for a kid that is unknown, and by `refresh()`; a revocation in it then waits for one of these.
   */
  readonly reloadMs?: number | false
  /**
   * What to do about a file that its group or others can read: `warn` once by a process warning, `refuse` it, or `allow` it.
   * Default `warn`, because mounted secrets often are. Not looked at on Windows.
   */
  readonly readableByOthers?: 'warn' | 'refuse' | 'allow'
  /** Told after keys have come, gone, or changed their state. */
  readonly onChange?: (changes: readonly IdentityChange[]) => void
  /**
   * Told when the source can no longer be read, once for each reason in a row; what was read before stays in force. By
   * default it is a process warning.
   */
  readonly onFailure?: (error: SealbusError) => void
}

/** One key that came (`from` is undefined), went (`to` is undefined), or changed its state. */
export interface IdentityChange {
  readonly kid: string
  readonly from: IdentityState | 'destroyed' | undefined
  readonly to: IdentityState | 'destroyed' | undefined
}

/** How the source of private keys does. */
export interface IdentitiesHealth {
  /** When the source was last read, and found good. What it held then is in force. */
  readonly readAt: Date
  /** Why it cannot be read now, and since when; undefined while it can. */
  readonly failure: { readonly error: SealbusError; readonly since: Date } | undefined
}

/** Private keys in this process. */
export interface LoadedIdentities extends IdentityStore {
  /** Reads the source again now. @throws ERR_SEALBUS_INVALID_KEY, ERR_SEALBUS_KEY_UNAVAILABLE; what was read before then stays in force */
  refresh(): Promise<void>
  health(): IdentitiesHealth
  /** Stops looking for changes; the keys stay. Idempotent. */
  close(): void
  [Symbol.dispose](): void
  /** As `close()`; resolves when no read is under way. */
  [Symbol.asyncDispose](): Promise<void>
}

const OPTIONS: Record<keyof LoadIdentitiesOptions, true> = { reloadMs: true, readableByOthers: true, onChange: true, onFailure: true }
const READABLE_BY_OTHERS = ['warn', 'refuse', 'allow']

/**
 * Loads a service's private keys from a JWK Set. Besides the JWK's own members an entry may have a `state` (`pending`,
 * `active`, `retiring`, `archived`, `revoked`; default `active`); a destroyed key is
 * `{ kid, state: 'destroyed', destroyed_at, thumbprint?, reason? }`. Each key wraps and unwraps once at load.
 *
 * A file is followed: replaced by a rename, through a link (as Kubernetes mounts secrets), or written in place. One that is
 * missing, broken or half written changes nothing and is told of. The timer does not keep the process alive.
 *
 * @throws ERR_SEALBUS_INVALID_KEY, ERR_SEALBUS_KEY_UNAVAILABLE when the file or variable cannot be read, ERR_SEALBUS_INVALID_OPTION
 */
export async function loadIdentities(source: IdentitySource, options: LoadIdentitiesOptions = {}): Promise<LoadedIdentities> {
  checkNames('loading identities', OPTIONS, options)
  const { onChange, onFailure = warnOf, readableByOthers = 'warn' } = options
  if (!READABLE_BY_OTHERS.includes(readableByOthers)) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', `\`readableByOthers\` is one of ${READABLE_BY_OTHERS.join(', ')}`)
  const reloadMs = options.reloadMs === false ? undefined : one('reloadMs', LIMITS.identityReloadMs, options.reloadMs)

  let current: { readonly set: IdentitySet; readonly digest: string | undefined; readonly readAt: Date }
  let failure: IdentitiesHealth['failure']
  let warned = false
  let file = false

  const checkMode = ({ mode }: { readonly mode: number }): void => {
    const shared = mode & 0o077
    if (shared === 0 || readableByOthers === 'allow' || process.platform === 'win32') return
    const reason = `its group or others have access to the file (mode ${(mode & 0o777).toString(8)}, not 600)`
    if (readableByOthers === 'refuse') throw invalid(reason)
    if (!warned) process.emitWarning(`identities: ${reason}`, { type: WARNING, code: 'SEALBUS_IDENTITIES_READABLE' })
    warned = true
  }

  /** What the source holds now; undefined when that is what is in force. */
  const read = async (): Promise<{ set: IdentitySet; digest: string | undefined } | undefined> => {
    if (typeof source === 'object' && 'keys' in source) return { set: identitySet(keysOf(source)), digest: undefined }
    const content = await readSource(source)
    try {
      return readContent(content)
    } finally {
      content.bytes.fill(0)
    }
  }

  const readContent = ({ bytes, file: found }: SourceContent): { set: IdentitySet; digest: string } | undefined => {
    file = found !== undefined
    if (found) checkMode(found)
    const digest = hash('sha256', bytes, 'base64url')
    return current?.digest === digest ? undefined : { set: identitySet(entriesOf(bytes)), digest }
  }

  const readAgain = async (): Promise<void> => {
    try {
      const next = await read()
      const before = current.set
      const set = next ? reusing(before, next.set) : before
      current = { set, digest: next ? next.digest : current.digest, readAt: new Date() }
      failure = undefined
      const changes = next && onChange ? changesBetween(before, set) : []
      if (changes.length > 0) callOut(() => onChange?.(changes))
    } catch (error) {
      const typed = isSealbusError(error) ? (error as SealbusError) : invalid('they cannot be read')
      const repeated = failure?.error.message === typed.message
      failure = { error: typed, since: failure?.since ?? new Date() }
      if (!repeated) callOut(() => onFailure(typed))
      throw typed
    }
  }

  /** One after the other, so that what was read earlier never comes last. */
  let reading: Promise<void> = Promise.resolve()
  const refresh = (): Promise<void> => {
    reading = reading.then(readAgain, readAgain)
    return reading
  }

  const first = await read()
  current = { set: first?.set ?? identitySet([]), digest: first?.digest, readAt: new Date() }

  let timer: NodeJS.Timeout | undefined
  const lookLater = (): void => {
    // A failure is in `health()`, and has been told of.
    const look = (): void => void refresh().catch(() => {}).finally(() => timer && lookLater())
    timer = setTimeout(look, reloadMs).unref()
  }
  // A pipe cannot be read again, and a variable does not change.
  if (file && reloadMs !== undefined) lookLater()

  const close = (): void => {
    clearTimeout(timer)
    timer = undefined
  }
  return {
    find: (kid) => current.set.byName.get(kid),
    list: () => current.set.identities,
    refresh,
    health: () => ({ readAt: current.readAt, failure }),
    close,
    [Symbol.dispose]: close,
    async [Symbol.asyncDispose](): Promise<void> {
      close()
      await reading.catch(() => {})
    },
  }
}

function changesBetween(before: IdentitySet, after: IdentitySet): readonly IdentityChange[] {
  const states = ({ byName }: IdentitySet): Map<string, IdentityChange['to']> => new Map([...byName.values()].map((each) => [each.kid, 'destroyed' in each ? 'destroyed' : each.state]))
  const [from, to] = [states(before), states(after)]
  return [...new Set([...from.keys(), ...to.keys()])].map((kid) => ({ kid, from: from.get(kid), to: to.get(kid) })).filter((change) => change.from !== change.to)
}

const WARNING = 'SealbusWarning'

function warnOf(error: SealbusError): void {
  process.emitWarning(error.message, { type: WARNING, code: error.code })
}
