import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities, type OpenedMessage } from '@sealbus/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OUR_CASES, type OurCase, THEIR_CASES, type TheirCase } from '../cases.ts'
import { recipientKeys, type RecipientKeys } from '../keys.ts'
import { Refusal } from '../line-program.ts'
import { type Attempt, type Peer, type RunningPeer, startPeer } from '../peer.ts'
import { PEERS } from '../peers.ts'

const REQUIRED = process.env['SEALBUS_REQUIRE_INTEROP'] === '1'

for (const peer of PEERS) {
  const missing = peer.missing()
  if (missing !== undefined) {
    // oxlint-disable-next-line no-console -- a peer that is missing is said aloud
    console.warn(`interop with ${peer.name} ${REQUIRED ? 'is required' : 'is skipped'}: ${missing}`)
    it.skipIf(!REQUIRED)(`${peer.name} is here: ${missing}`, () => expect.fail(missing))
    continue
  }
  describe(peer.name, () => {
    let running: RunningPeer
    beforeAll(async () => {
      running = await startPeer(peer)
    })
    afterAll(() => running.stop())

    describe('opens what we seal', () => {
      it.each(OUR_CASES)('$title', async (ours) => {
        const recipients = ours.kinds.map(recipientKeys)
        const jwe = sealed(ours, recipients)
        for (const own of someOf(recipients)) {
          const attempt = { form: ours.form, enc: ours.enc, kinds: ours.kinds, own: own.kind, native: true, partyInfo: false, payloadBytes: ours.payload.length }
          await expectAbility(peer, { ...attempt, task: 'open' }, async () => {
            const { plaintext, header, committed } = await running.open({ task: 'open', jwe, jwk: own.privateJwk })
            expect(decompressed(ours, Buffer.from(plaintext, 'base64url')).equals(ours.payload)).toBe(true)
            expect(header).toMatchObject({ typ: 'sealbus+jwe', msg: expectedContext(ours, recipients) })
            await expectAbility(peer, { ...attempt, task: 'commitment' }, async () => {
              if (committed === null) throw new Refusal('it does not show the content key')
              expect(committed).toBe(true)
            })
          })
        }
      })
    })

    describe('seals what we open', () => {
      it.each(THEIR_CASES)('$title', async (theirs) => {
        const recipients = theirs.kinds.map(recipientKeys)
        const attempt: Attempt = {
          task: 'seal',
          form: theirs.form,
          enc: theirs.enc,
          kinds: theirs.kinds,
          own: theirs.kinds[0] ?? expect.fail('no recipients'),
          native: theirs.native,
          partyInfo: theirs.partyInfo === true,
          payloadBytes: theirs.payload.length,
        }
        await expectAbility(peer, attempt, async () => {
          const jwe = await sealedBy(running, theirs, recipients)
          for (const own of someOf(recipients)) {
            const message = await openedByUs(jwe, theirs, own)
            expect(message.plaintext.equals(theirs.payload)).toBe(true)
            expect(message.kid).toBe(own.publicJwk.kid)
            expect(message.id).toBe(theirs.native ? CONTEXT.id : undefined)
          }
        })
      })
    })
  })
}

/** An inability is tried too: one that is none any more would hide a case. */
async function expectAbility(peer: Peer, attempt: Attempt, work: () => Promise<void>): Promise<void> {
  const inability = peer.cannot.find(({ when }) => when(attempt))
  if (inability === undefined) return work()
  await expect(work(), `${peer.name} was said to be unable, because ${inability.reason}`).rejects.toThrow(Refusal)
}

/** All of a few; the first, the last and one between of many. */
function someOf(recipients: readonly RecipientKeys[]): readonly RecipientKeys[] {
  return recipients.length <= 3 ? recipients : [0, 4, recipients.length - 1].flatMap((index) => recipients[index] ?? [])
}

function sealed({ enc, form, payload, compress, channel = 'orders', id, contentType, headers }: OurCase, recipients: readonly RecipientKeys[]): string {
  const sealer = createSealer({
    directory: createStaticDirectory(Object.fromEntries(recipients.map(({ name, publicJwk }) => [name, publicJwk]))),
    channels: defineChannels({ [channel]: { to: recipients.map(({ name }) => name), ...(compress && { compress }), ...(headers && { bind: { headers: Object.keys(headers) } }) } }),
    ...(enc !== 'A256CBC-HS512' && { enc }),
    serialization: form === 'compact' ? 'compact' : 'general',
  })
  const { bytes } = sealer.sealSync(payload, { channel, key: '42', ...(id !== undefined && { id }), ...(contentType !== undefined && { contentType }), ...(headers && { headers }) })
  return form === 'flattened' ? flattened(bytes.toString()) : bytes.toString()
}

/** We emit no Flattened, but whoever holds a message for one recipient may write it so. */
function flattened(general: string): string {
  const { recipients, ...rest } = JSON.parse(general) as { recipients: readonly { encrypted_key: string }[] }
  return JSON.stringify({ ...rest, ...recipients[0] })
}

function decompressed({ compress }: OurCase, content: Buffer): Buffer {
  if (compress === 'gzip') return gunzipSync(content)
  return compress === 'zstd' ? zstdDecompressSync(content) : content
}

function expectedContext({ channel = 'orders', id, headers }: OurCase, recipients: readonly RecipientKeys[]): object {
  return {
    v: 1,
    ch: channel,
    to: recipients.map(({ name }) => name),
    ...(id !== undefined && { id }),
    ...(headers && { hdr: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [Buffer.from(value).toString('base64url')]])) }),
  }
}

const CONTEXT = { v: 1, id: 'message-é-1', iat: 1_790_000_000, ch: 'orders' } as const
const PARTY_INFO = { apu: Buffer.from('Alice').toString('base64url'), apv: Buffer.from('Bob').toString('base64url') }

function sealedBy(running: RunningPeer, { form, enc, native, partyInfo, payload }: TheirCase, recipients: readonly RecipientKeys[]): Promise<string> {
  const [alg, ...others] = new Set(recipients.map(({ publicJwk }) => publicJwk.alg))
  return running.seal({
    task: 'seal',
    form,
    enc,
    header: native ? { typ: 'sealbus+jwe', cty: 'json', msg: { ...CONTEXT, to: recipients.map(({ name }) => name) } } : { cty: 'json' },
    commit: native,
    ...(alg !== undefined && others.length === 0 && { alg }),
    recipients: recipients.map(({ publicJwk }) => ({ jwk: publicJwk, ...(partyInfo && PARTY_INFO) })),
    plaintext: payload.toString('base64url'),
  })
}

async function openedByUs(jwe: string, { native }: TheirCase, { name, privateJwk }: RecipientKeys): Promise<OpenedMessage> {
  const identities = await loadIdentities({ keys: [privateJwk] })
  const opener = createOpener({ name, identities, channels: defineChannels({ orders: { to: [name], foreign: !native } }) })
  return opener.openSync(Buffer.from(jwe), { channel: 'orders' })
}
