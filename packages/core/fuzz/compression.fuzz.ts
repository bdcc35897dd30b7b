import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { expect } from 'vitest'
import { type OpenedMessage } from '../src/open.ts'
import { LIMITS } from '../src/limits.ts'
import { KEYS } from './corpus.ts'
import { shownAs } from './counterexample.ts'
import { edits } from './edits.ts'
import { forge, keyMembers, knownContentKey } from './forgery.ts'
import { forgetOpeners, openerOf } from './openers.ts'
import { fuzz } from './property.ts'

const known = knownContentKey('A256GCM', [KEYS.ec])
const kind = fc.constantFrom('gzip', 'zstd')
const packed = (algorithm: string, bytes: Buffer): Buffer => (algorithm === 'gzip' ? gzipSync(bytes) : zstdCompressSync(bytes))

const header = (algorithm: string): string => JSON.stringify({ ...keyMembers(known), msg: { v: 1, id: 'id-1', iat: 1, ch: 'solo', to: ['ec'], z: algorithm } })

interface Packed {
  readonly algorithm: string
  readonly content: Buffer
}

const open = ({ algorithm, content }: Packed): OpenedMessage => openerOf(KEYS.ec).openSync(forge(known, header(algorithm), content), { channel: 'solo', key: null })

/** The envelope is authentic: only the compressed content is wrong, as a recipient or a faulty sealer could make it. */
fuzz('broken compressed content', {
  share: 0.04,
  values: fc.tuple(kind, fc.nat({ max: 20_000 }), fc.uint8Array({ minLength: 1, maxLength: 24 }), edits).map(([algorithm, length, pattern, edit]) => shownAs({ algorithm, content: edit(packed(algorithm, Buffer.alloc(length, pattern))) }, (made) => `${algorithm} ${made.content.toString('base64')}`)),
  run: open,
  check({ result, error }) {
    if (error) expect(error.code).toBe('ERR_SEALBUS_MALFORMED')
    else expect(result.plaintext.length).toBeLessThanOrEqual(LIMITS.payloadBytes)
  },
  reaches: ['success', 'ERR_SEALBUS_MALFORMED'],
  reset: forgetOpeners,
})

const around = [LIMITS.payloadBytes - 1, LIMITS.payloadBytes, LIMITS.payloadBytes + 1, 4 * LIMITS.payloadBytes]
const bombs: readonly (Packed & { size: number })[] = ['gzip', 'zstd'].flatMap((algorithm) => around.map((size) => shownAs({ algorithm, size, content: packed(algorithm, Buffer.alloc(size)) }, () => `${algorithm} of ${size} zeros`)))

fuzz('content that would inflate past the limit', {
  share: 0.0005,
  values: fc.constantFrom(...bombs),
  run: open,
  check({ result, error }, { size }) {
    expect(error?.code).toBe(size > LIMITS.payloadBytes ? 'ERR_SEALBUS_MALFORMED' : undefined)
    expect(result?.plaintext.length).toBe(size > LIMITS.payloadBytes ? undefined : size)
  },
  reaches: ['success', 'ERR_SEALBUS_MALFORMED'],
  reset: forgetOpeners,
})
