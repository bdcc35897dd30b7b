import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JWK } from 'jose'
import { expect, onTestFinished } from 'vitest'
import { createJwksDirectory, type JwksDirectory, type JwksDirectoryOptions } from '../../src/jwks/directory.ts'
import type { DirectoryEvent } from '../../src/jwks/events.ts'
import { testClock } from './endpoint.ts'
import type { TestKey } from './keys.ts'

export const UNAVAILABLE = 'ERR_SEALBUS_DIRECTORY_UNAVAILABLE'
export const MINUTE = 60_000

export const set = (...keys: readonly TestKey[]): { keys: JWK[] } => ({ keys: keys.map(({ publicJwk }) => publicJwk) })

export interface Observed {
  readonly directory: JwksDirectory
  readonly clock: ReturnType<typeof testClock>
  readonly events: DirectoryEvent[]
  /** Of one kind, without what differs from run to run. */
  readonly told: <Kind extends DirectoryEvent['kind']>(kind: Kind) => Extract<DirectoryEvent, { kind: Kind }>[]
}

/** A directory on a clock that stands still, without retries, whose events are kept; closed with the test. */
export function observe(options: JwksDirectoryOptions, clock: ReturnType<typeof testClock> = testClock()): Observed {
  const events: DirectoryEvent[] = []
  const directory = createJwksDirectory({ allowInsecureLoopback: true, retries: 0, clock, onEvent: (event) => events.push(event), ...options })
  onTestFinished(() => directory[Symbol.asyncDispose]())
  const told = <Kind extends DirectoryEvent['kind']>(kind: Kind): Extract<DirectoryEvent, { kind: Kind }>[] => events.filter((event): event is Extract<DirectoryEvent, { kind: Kind }> => event.kind === kind)
  return { directory, clock, events, told }
}

/** Waits for what nobody waits for, by its effect. */
export async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!condition()) {
    if (Date.now() > end) expect.fail('the condition was not met in 10 s')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sealbus-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}
