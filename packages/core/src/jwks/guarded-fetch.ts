import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { Agent } from 'undici'
import { AddressRefused } from './address-refused.ts'
import { isPermitted } from './address.ts'
import type { Fetch } from './fetch.ts'
import { DIRECTORY_LIMITS } from './limits.ts'

export interface GuardedFetch {
  readonly fetch: Fetch
  close(): void
}

export interface GuardOptions {
  readonly allowLoopback: boolean
  readonly lookup?: typeof systemLookup
}

/**
 * A fetch with connections of its own, each of which goes to an address that was looked at between resolving the name
 * and connecting. Node's global fetch has no hook for that, and would reuse connections that others made. A URL whose
 * host is an address is never looked up: `checkUrl` is for those.
 */
export function createGuardedFetch({ allowLoopback, lookup = systemLookup }: GuardOptions): GuardedFetch {
  /** Loaded and made with the first fetch: most processes that import this package fetch nothing. */
  let agent: Promise<{ agent: Agent; fetch: Fetch }> | undefined
  const connect = { lookup: guardedLookup(lookup, allowLoopback) }
  const make = async (): Promise<{ agent: Agent; fetch: Fetch }> => {
    const undici = await import('undici')
    return { agent: new undici.Agent({ connect, connections: DIRECTORY_LIMITS.connectionsPerHost, keepAliveTimeout: DIRECTORY_LIMITS.idleConnectionMs }), fetch: undici.fetch as unknown as Fetch }
  }
  return {
    async fetch(url, init): Promise<Response> {
      const made = await (agent ??= make())
      return made.fetch(url, { ...init, dispatcher: made.agent } as unknown as RequestInit)
    },
    close(): void {
      agent?.then((made) => made.agent.destroy()).catch(() => {})
    },
  }
}

/** Says which addresses a connection may choose from; refuses when there is none. */
export function guardedLookup(lookup: typeof systemLookup, allowLoopback: boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error) return callback(error, [])
      const permitted = addresses.filter(({ address }) => isPermitted(address, allowLoopback))
      const [first] = permitted
      if (!first) return callback(new AddressRefused(), [])
      if (options.all) callback(null, permitted)
      else callback(null, first.address, first.family)
    })
  }
}
