import { SealbusError } from '../errors.ts'
import { DIRECTORY_LIMITS } from './limits.ts'

/** Where one recipient's public keys are published. */
export interface JwksSource {
  /** An https URL of a JWK Set; http only for loopback hosts, and only with `allowInsecureLoopback`. */
  readonly url: string
  /** RFC 7638 thumbprints: any other key is refused. Recommended, because whoever controls the endpoint can add a reader. */
  readonly pins?: readonly string[]
  /** How long the last good set is served while the endpoint fails, in milliseconds. Default 3,600,000; 0 to 86,400,000. */
  readonly maxStaleMs?: number
}

export interface Source {
  readonly name: string
  readonly url: string
  readonly pins: ReadonlySet<string> | undefined
  readonly maxStaleMs: number
}

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkSource(name: string, given: string | JwksSource, defaults: { maxStaleMs: number; allowInsecureLoopback: boolean }): Source {
  const { url, pins, maxStaleMs = defaults.maxStaleMs } = typeof given === 'string' ? { url: given } : given
  const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', `recipient ${JSON.stringify(name)}: ${reason}`)
  if (!URL.canParse(url)) throw invalid('its URL cannot be parsed')
  const { protocol, hostname, username, password, hash } = new URL(url)
  if (username !== '' || password !== '') throw invalid('its URL holds credentials')
  if (hash !== '') throw invalid('its URL has a fragment')
  const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname)
  if (protocol !== 'https:' && !(protocol === 'http:' && loopback && defaults.allowInsecureLoopback)) throw invalid('its URL is not https (http is for loopback hosts, with `allowInsecureLoopback`)')
  if (!Number.isFinite(maxStaleMs) || maxStaleMs < 0 || maxStaleMs > DIRECTORY_LIMITS.maxStaleCeilingMs) throw invalid(`\`maxStaleMs\` is from 0 to ${DIRECTORY_LIMITS.maxStaleCeilingMs}`)
  if (pins !== undefined && (!Array.isArray(pins) || pins.length === 0 || !pins.every((pin) => typeof pin === 'string' && /^[A-Za-z0-9_-]{43}$/.test(pin)))) throw invalid('`pins` are RFC 7638 SHA-256 thumbprints, base64url')
  return { name, url, pins: pins && new Set(pins), maxStaleMs }
}
