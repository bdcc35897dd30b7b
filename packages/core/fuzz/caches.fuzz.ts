import { randomBytes } from 'node:crypto'
import { beforeEach, expect, it, vi } from 'vitest'
import { LIMITS } from '../src/limits.ts'
import type { Identity } from '../src/identity.ts'
import { createOpener, type Opener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import { testDirectory, testIdentities } from '../test/support/keys.ts'
import { channels, KEYS } from './corpus.ts'

/** Counts what reaches the private key. */
function countedOpener(): { opener: Opener; unwrap: ReturnType<typeof vi.fn<Identity['unwrap']>> } {
  const unwrap = vi.fn<Identity['unwrap']>((request) => KEYS.okp.identity.unwrap(request))
  return { opener: createOpener({ name: 'okp', identities: testIdentities({ ...KEYS.okp.identity, unwrap }), channels }), unwrap }
}

const sealer = createSealer({ directory: testDirectory({ okp: KEYS.okp.recipientKey }), channels, contentKeys: 'per-message' })
const seal = (): Buffer => sealer.sealSync('x', { channel: 'zstd' }).bytes
const where = { channel: 'zstd' }

// How much is kept is asked here, and not for how long: a busy machine takes longer than a failure is remembered.
beforeEach(() => {
  vi.spyOn(performance, 'now').mockReturnValue(performance.now())
  vi.spyOn(Date, 'now').mockReturnValue(Date.now())
  return () => vi.restoreAllMocks()
})

it('keeps as many content keys as its limit says, and no more', () => {
  const { opener, unwrap } = countedOpener()
  const messages = Array.from({ length: LIMITS.contentKeyCache.entries.default + 1 }, seal)
  for (const message of messages) opener.openSync(message, where)
  expect(unwrap).toHaveBeenCalledTimes(messages.length)
  const [first = expect.fail(), ...others] = messages
  for (const message of others) opener.openSync(message, where)
  expect(unwrap, 'all but the oldest are there').toHaveBeenCalledTimes(messages.length)
  opener.openSync(first, where)
  expect(unwrap, 'the oldest made room').toHaveBeenCalledTimes(messages.length + 1)
})

it('remembers as many wrapped keys that failed as its limit says, and no more', () => {
  const { opener, unwrap } = countedOpener()
  const envelope = JSON.parse(seal().toString()) as { recipients: [{ encrypted_key: string }] }
  const garbage = Array.from({ length: LIMITS.failedUnwraps + 1 }, () => Buffer.from(JSON.stringify({ ...envelope, recipients: [{ encrypted_key: randomBytes(40).toString('base64url') }] })))
  const refuse = (message: Buffer): void => expect(() => opener.openSync(message, where)).toThrow('cannot be decrypted')
  for (const message of garbage) refuse(message)
  expect(unwrap).toHaveBeenCalledTimes(garbage.length)
  const [first = expect.fail(), ...others] = garbage
  for (const message of others) refuse(message)
  expect(unwrap, 'all but the oldest are known').toHaveBeenCalledTimes(garbage.length)
  refuse(first)
  expect(unwrap, 'the oldest made room').toHaveBeenCalledTimes(garbage.length + 1)
})
