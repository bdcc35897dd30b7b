import { describe, expect, it } from 'vitest'
import { SealbusError, type SealbusErrorCode } from '../src/errors.ts'
import { mayOpenLater } from '../src/open-later.ts'

describe('what openSync failed with', () => {
  it.each<[SealbusErrorCode, boolean]>([
    ['ERR_SEALBUS_KEYS_NOT_READY', true],
    ['ERR_SEALBUS_KEY_UNAVAILABLE', true],
    ['ERR_SEALBUS_KEY_MISSING', true],
    ['ERR_SEALBUS_NOT_A_RECIPIENT', true],
    ['ERR_SEALBUS_KEY_DESTROYED', false],
    ['ERR_SEALBUS_MALFORMED', false],
    ['ERR_SEALBUS_DECRYPT_FAILED', false],
    ['ERR_SEALBUS_CONTEXT_MISMATCH', false],
  ])('%s may be no more than "not in memory": %s', (code, later) => {
    expect(mayOpenLater(new SealbusError(code, 'why'))).toBe(later)
  })
})
