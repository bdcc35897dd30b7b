import { isIP } from 'node:net'
import { isLoopback, isPermitted } from './address.ts'

export interface UrlPolicy {
  /** Hosts that may be asked: `keys.example`, or `*.keys.example` for all below it. Undefined: any that is no address. */
  readonly hosts: readonly string[] | undefined
  readonly allowInsecureLoopback: boolean
}

/** Why a URL must not be asked, in words; undefined for a good one. WHATWG parsing has undone the odd spellings of addresses. */
export function urlProblem(url: string, { hosts, allowInsecureLoopback }: UrlPolicy): string | undefined {
  if (!URL.canParse(url)) return 'its URL cannot be parsed'
  const { protocol, hostname, username, password, hash } = new URL(url)
  if (username !== '' || password !== '') return 'its URL holds credentials'
  if (hash !== '') return 'its URL has a fragment'
  const host = bareHost(hostname)
  const address = isIP(host) !== 0
  const loopback = address ? isLoopback(host) : host === 'localhost'
  if (loopback && !allowInsecureLoopback) return 'its URL is on this machine, which is for tests and demos, with `allowInsecureLoopback`'
  if (protocol !== 'https:' && !(protocol === 'http:' && loopback)) return 'its URL is not https (http is for loopback hosts, with `allowInsecureLoopback`)'
  if (address && !isPermitted(host, allowInsecureLoopback)) return 'its URL has an address that is never asked'
  if (hosts !== undefined && !loopback && !hosts.some((pattern) => fits(host, pattern))) return `its host ${JSON.stringify(host)} is not among \`hosts\``
  if (hosts === undefined && address && !loopback) return 'its URL has an IP address: name it in `hosts` to allow it'
  return undefined
}

/** Without the brackets of IPv6 and the dot of an absolute name. */
const bareHost = (hostname: string): string => hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')

function fits(host: string, pattern: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length >= pattern.length : host === pattern
}

/** Host names in lower case, as URLs have them; a leading `*.` stands for one label or more. */
export function isHostPattern(pattern: unknown): pattern is string {
  return typeof pattern === 'string' && (isIP(pattern) !== 0 || /^(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(pattern))
}
