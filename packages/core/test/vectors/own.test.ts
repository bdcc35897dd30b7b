import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Opening, VectorCase } from '../../../../vectors/source/case.ts'
import { vectorFiles } from '../../../../vectors/source/files.ts'
import { defineChannels } from '../../src/channels.ts'
import { loadIdentities } from '../../src/identities.ts'
import type { Identity } from '../../src/identity.ts'
import { createOpener, type OpenedMessage, type Opener, type OpenOptions } from '../../src/open.ts'
import { rejectionOf } from '../support/thrown.ts'
import { envelopeOf, ownVectors, vectorText } from './own-vectors.ts'

interface Attempt {
  readonly opener: Opener
  readonly options: OpenOptions
  /** How often a private key was asked. */
  readonly unwraps: () => number
}

async function attemptAt({ identities, opener: { name, channel, foreign = false, realm, bindKey = true, bindHeaders = [], recordKey, headers } }: VectorCase): Promise<Attempt> {
  const store = await loadIdentities({ keys: identities })
  let unwraps = 0
  const counted = store.list().map((identity): Identity => ({
    ...identity,
    unwrap: (request) => {
      unwraps++
      return identity.unwrap(request)
    },
  }))
  const opener = createOpener({
    name,
    identities: { find: (kid) => counted.find((each) => each.kid === kid || each.thumbprint === kid), list: () => counted },
    channels: defineChannels({ [channel]: { to: [name], foreign, bind: { key: bindKey, headers: bindHeaders } } }),
    ...(realm !== undefined && { realm }),
  })
  const decode = (value: string): Buffer => Buffer.from(value, 'base64url')
  const options = {
    channel,
    ...(recordKey !== undefined && { key: recordKey === null ? null : decode(recordKey) }),
    ...(headers && { headers: Object.fromEntries(Object.entries(headers).map(([header, values]) => [header, values.map(decode)])) }),
  }
  return { opener, options, unwraps: () => unwraps }
}

function told(message: OpenedMessage, { plaintext }: Opening): Opening {
  const large = plaintext === undefined
  return {
    ...(large
      ? { plaintextSize: message.plaintext.length, plaintextSha256: createHash('sha256').update(message.plaintext).digest('base64url') }
      : { plaintext: message.plaintext.toString('base64url') }),
    id: message.id ?? null,
    time: message.time ? message.time.getTime() / 1_000 : null,
    contentType: message.contentType ?? null,
    contentEncoding: message.contentEncoding ?? null,
    inReplyTo: message.inReplyTo ?? null,
    kid: message.kid,
  }
}

/** Failures that only a private key can show. */
const AFTER_UNWRAP: ReadonlySet<string> = new Set(['ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_CONTEXT_MISMATCH'])

const made = vectorFiles()

describe.each(ownVectors())('$file', ({ file, cases }) => {
  it('is what its sources make', () => expect(vectorText(file) === made[file]).toBe(true))

  it.each(cases)('§$rule $name', async (vector) => {
    const bytes = envelopeOf(vector)
    const { opener, options, unwraps } = await attemptAt(vector)
    const { expect: expected } = vector
    if ('error' in expected) {
      expect(await rejectionOf(opener.open(bytes, options))).toBe(expected.error)
      // Decompression is the one thing that is malformed only after the tag was right.
      if (!AFTER_UNWRAP.has(expected.error) && vector.rule !== '5.12') expect(unwraps()).toBe(0)
      // Again, from whatever state the first attempt left behind.
      expect(await rejectionOf(opener.open(bytes, options))).toBe(expected.error)
      return
    }
    expect(told(await opener.open(bytes, options), expected)).toEqual(expected)
    expect(told(opener.openSync(bytes, options), expected)).toEqual(expected)
  })
})

describe('vectors', () => {
  const cases = ownVectors().flatMap((file) => file.cases)

  it('have a name each', () => expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length))

  it('name rules that docs/FORMAT.md has', () => {
    const text = readFileSync(new URL('../../../../docs/FORMAT.md', import.meta.url), 'utf8')
    const sections = new Set([...text.matchAll(/^#{2,3} (\d+(?:\.\d+)?)[ .]/gm)].map(([, section]) => section))
    expect([...new Set(cases.map(({ rule }) => rule))].filter((rule) => !sections.has(rule))).toEqual([])
  })
})
