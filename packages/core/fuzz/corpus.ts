import { randomBytes } from 'node:crypto'
import { defineChannels } from '../src/channels.ts'
import { createOpener, type OpenedMessage, type Opener, type OpenOptions } from '../src/open.ts'
import { createSealer, type SealOptions, type SealerOptions } from '../src/seal.ts'
import { testDirectory, testIdentities, testKey, type TestKey } from '../test/support/keys.ts'
import { authenticate, forge, knownContentKey, keyMembers } from './forgery.ts'

const ec = await testKey('P-256', 'ec-1')
const large = await testKey('P-521', 'large-1')
const okp = await testKey('X25519', 'okp-1')
const rsa = await testKey('RSA', 'rsa-1')
export const KEYS = { ec, large, okp, rsa } as const

const everyone = ['ec', 'okp', 'rsa', 'large'] as const
export const channels = defineChannels({
  solo: { to: ['ec'] },
  same: { to: ['ec', 'ec2', 'ec3'] },
  mixed: { to: everyone },
  gzip: { to: ['ec'], compress: 'gzip' },
  zstd: { to: ['okp'], compress: 'zstd' },
  bound: { to: ['rsa'], bind: { headers: ['trace'] } },
  foreign: { to: ['ec'], foreign: true },
})
export const directory = testDirectory({
  ec: ec.recipientKey,
  ec2: (await testKey('P-256', 'ec-2')).recipientKey,
  ec3: (await testKey('P-256', 'ec-3')).recipientKey,
  large: large.recipientKey,
  okp: okp.recipientKey,
  rsa: rsa.recipientKey,
})

/** An envelope that opens, with the one key that it is tried with, and what it opens to. */
export interface Sample {
  readonly name: string
  readonly bytes: Buffer
  readonly key: TestKey
  readonly options: OpenOptions
  readonly facts: Facts
}

/** All that an envelope says and means. */
export type Facts = ReturnType<typeof factsOf>

// oxlint-disable-next-line typescript/explicit-function-return-type -- its type is `Facts`
export function factsOf({ plaintext, contentType, contentEncoding, id, time, channel, kid, sender, inReplyTo }: OpenedMessage) {
  return { plaintext: plaintext.toString('base64'), contentType, contentEncoding, id, time: time?.getTime(), channel, kid, sender, inReplyTo }
}

export function newOpener(key: TestKey): Opener {
  return createOpener({ name: 'ec', identities: testIdentities(key.identity), channels })
}

const options = (channel: string): OpenOptions => ({ channel, key: 'record-1', headers: { trace: 'abc' } })
const PAYLOAD = Buffer.from('{"total":9,"note":"größer"}')

function sample(name: string, bytes: Buffer, key: TestKey, channel: string): Sample {
  return { name, bytes, key, options: options(channel), facts: factsOf(newOpener(key).openSync(bytes, options(channel))) }
}

function sealed(channel: string, more: Partial<SealerOptions & SealOptions> = {}): Buffer {
  const { enc, serialization, ...message } = more
  const only = serialization === 'compact' ? defineChannels({ solo: { to: ['ec'] } }) : channels
  const sealer = createSealer({ directory, channels: only, ...(enc && { enc }), ...(serialization && { serialization }) })
  return sealer.sealSync(PAYLOAD, { ...options(channel), contentType: 'application/json', contentEncoding: 'br', inReplyTo: 'request-1', ...message }).bytes
}

function flattened(general: Buffer): Buffer {
  const { recipients, ...rest } = JSON.parse(general.toString()) as { recipients: readonly object[] }
  return Buffer.from(JSON.stringify({ ...rest, ...recipients[0] }))
}

const cbc = knownContentKey('A256CBC-HS512', [ec])
const { kc: _kc, ...foreignMembers } = keyMembers(cbc)

/** Flattened, with everything that may in the entry's own header. */
function foreign(): Buffer {
  const [entry] = cbc.entries
  const aad = Buffer.from(JSON.stringify({ enc: cbc.enc, cty: 'text/plain' })).toString('base64url')
  const header = { alg: entry?.alg, kid: entry?.kid, epk: entry?.epk, unknown: { deep: [1, null] } }
  return Buffer.from(JSON.stringify({ protected: aad, header, encrypted_key: entry?.encryptedKey, ...authenticate(cbc, aad, randomBytes(20)) }))
}

export const SAMPLES: readonly Sample[] = [
  sample('for one', sealed('solo'), ec, 'solo'),
  sample('Flattened', flattened(sealed('solo')), ec, 'solo'),
  sample('Compact', sealed('solo', { serialization: 'compact' }), ec, 'solo'),
  sample('A128GCM', sealed('solo', { enc: 'A128GCM' }), ec, 'solo'),
  sample('for three', sealed('same'), ec, 'same'),
  ...[ec, okp, rsa, large].map((key) => sample(`mixed, for ${key.kid}`, sealed('mixed'), key, 'mixed')),
  sample('gzip', sealed('gzip'), ec, 'gzip'),
  sample('zstd', sealed('zstd'), okp, 'zstd'),
  sample('bound headers', sealed('bound'), rsa, 'bound'),
  sample('foreign, Flattened', foreign(), ec, 'foreign'),
  sample('foreign, General', forge(cbc, JSON.stringify({ ...foreignMembers, typ: 'JWE' }), PAYLOAD), ec, 'foreign'),
]
