import fc from 'fast-check'
import { expect } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { decodeEnvelope, type Envelope } from '../src/envelope.ts'
import { createOpener, type OpenedMessage } from '../src/open.ts'
import { testIdentities } from '../test/support/keys.ts'
import { KEYS } from './corpus.ts'
import { excerpt, shownAs } from './counterexample.ts'
import { fuzz } from './property.ts'

/** Twice what a Kafka broker takes by default. */
const BYTES = 2 * 1_048_576

const members = (unit: (index: number) => string) => (bytes: number): string => `{"protected":"e30",${repeated(unit, bytes)}}`
const elements = (unit: (index: number) => string) => (bytes: number): string => `{"protected":"e30","recipients":[${repeated(unit, bytes)}]}`
const long = (unit: string) => (bytes: number): string => `{"protected":"e30","iv":"${unit.repeat(bytes / unit.length)}"}`

function repeated(unit: (index: number) => string, bytes: number): string {
  const parts: string[] = []
  for (let size = 0, index = 0; size < bytes; index++) {
    const part = unit(index)
    parts.push(part)
    size += part.length + 1
  }
  return parts.join(',')
}

/** Shapes that cost a parser the most for their size. */
const shapes = fc.constantFrom(
  members((index) => `"${index}":0`),
  members((index) => `"${(index * 7_919) % 4_294_967_290}":0`),
  members((index) => `"a${index}":0`),
  members((index) => `"\\u0061${index}":0`),
  members(() => '"a":0'),
  elements(() => '[]'),
  elements(() => '[[[[[]]]]]'),
  elements(() => '{}'),
  elements(() => '{"header":{},"encrypted_key":""}'),
  elements(() => '1e9'),
  elements((index) => `"${index}"`),
  long('A'),
  long('\\"'),
  long('\\u0041'),
  long('é'),
  (bytes: number): string => `{"protected":${' '.repeat(bytes)}"e30"}`,
  (bytes: number): string => `{"protected":"e30","iv":${'9'.repeat(bytes)}}`,
  (bytes: number): string => `eyJ${'A'.repeat(bytes)}`,
  (bytes: number): string => `eyJlbmMiOjF9${'.'.repeat(bytes)}`,
  (bytes: number): string => `e30....${'A'.repeat(bytes)}`,
)

const sizes = fc.integer({ min: 1, max: BYTES })
const shown = (text: string): Buffer => shownAs(Buffer.from(text), (made) => excerpt(made.toString()))

fuzz('a large hostile envelope is refused at once', {
  share: 0.003,
  values: fc.tuple(shapes, sizes).map(([shape, bytes]) => shown(shape(bytes))),
  run: (bytes): Envelope => decodeEnvelope(bytes),
  check({ error }) {
    expect(['ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_REFUSED']).toContain(error?.code)
  },
  reaches: ['ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_REFUSED'],
})

/** The names of an envelope, so that each shape must be looked into; or what only begins like one. */
const dressed = fc.constantFrom(
  (text: string): string => text,
  (text: string): string => text.replace('{"protected"', '{ "ciphertext":"","protected"'),
  (text: string): string => text.replace('{"protected"', '{"\\u0063iphertext":"","\\u0070rotected"'),
  (text: string): string => text.replace('{"protected"', '{"a":"\\u0070","x"'),
  (text: string): string => text.replace('{"protected"', '{"a":{"protected":"","ciphertext":""},"x"'),
  (text: string): string => text.replace('{"protected"', '{"x"').replace(/\}$/, ',"protected":"","ciphertext":""}'),
  (text: string): string => `\ufeff ${text} `,
  (text: string): string => `${Buffer.from(text.replace('{', '{"enc":1,')).toString('base64url')}.AA.AA.AA.AA`,
)
const channel = 'mixed'
const opener = createOpener({ name: 'ec', identities: testIdentities(KEYS.ec.identity), channels: defineChannels({ mixed: { to: ['ec'], accept: 'sealed-or-plain' } }) })

fuzz('a large hostile message is recognized and refused at once', {
  share: 0.003,
  values: fc.tuple(shapes, sizes, dressed).map(([shape, bytes, dress]) => shown(dress(shape(bytes)))),
  // Both look at it: what is plain is not given to the second by an adapter.
  run: (bytes): OpenedMessage | boolean => opener.isPlain(bytes, { channel }) || opener.openSync(bytes, { channel }),
  check({ result, error }) {
    if (error) expect(['ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_REFUSED']).toContain(error.code)
    else expect(result).toBe(true)
  },
  reaches: ['success', 'ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_REFUSED'],
})
