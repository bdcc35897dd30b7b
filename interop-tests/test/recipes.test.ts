import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSealer, createStaticDirectory, defineChannels } from '@sealbus/core'
import { beforeAll, describe, expect, it } from 'vitest'
import { recipientKeys } from '../keys.ts'
import type { Peer } from '../peer.ts'
import { jwcrypto, python } from '../peers/jwcrypto/peer.ts'
import { nimbusJars } from '../peers/nimbus/class-path.ts'
import { nimbus } from '../peers/nimbus/peer.ts'

/** The recipes of docs/FORMAT.md, as they stand there, each with its library. The one in JavaScript is tested with core. */

const REQUIRED = process.env['SEALBUS_REQUIRE_INTEROP'] === '1'
const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

interface Recipe {
  readonly language: string
  readonly peer: Peer
  /** Puts the recipe's text into the folder, beside a program that reads its task from stdin; gives the command for that. */
  readonly prepare: (folder: string, text: string) => Promise<readonly [string, ...string[]]>
}

const RECIPES: readonly Recipe[] = [
  {
    language: 'python',
    peer: jwcrypto,
    async prepare(folder, text) {
      writeFileSync(join(folder, 'recipe.py'), text)
      copyFileSync(at('../recipes/run.py'), join(folder, 'run.py'))
      return [python ?? 'python3', join(folder, 'run.py')]
    },
  },
  {
    language: 'java',
    peer: nimbus,
    async prepare(folder, text) {
      const jars = await nimbusJars(at('../peers/nimbus/'))
      writeFileSync(join(folder, 'Envelopes.java'), text)
      execFileSync('javac', ['-cp', jars, '-d', folder, join(folder, 'Envelopes.java'), at('../recipes/RunRecipe.java')])
      return ['java', '-cp', [jars, folder].join(delimiter), 'RunRecipe']
    },
  },
]

const [billing, audit] = [recipientKeys('P-256', 0), recipientKeys('P-256', 1)]
const both = [audit.name, billing.name]
const channels = defineChannels({ solo: { to: [billing.name] }, orders: { to: both }, small: { to: both, compress: 'gzip' }, zstd: { to: both, compress: 'zstd' } })
const PAYLOAD = 'x'.repeat(1_000)

function sealed(channel: string, key: string | null): string {
  const directory = createStaticDirectory(Object.fromEntries([billing, audit].map(({ name, publicJwk }) => [name, publicJwk])))
  return createSealer({ directory, channels }).sealSync(PAYLOAD, { channel, key }).bytes.toString()
}

/** An entry of somebody else that has no header stands in front of ours. */
function withBareEntry(envelope: string): string {
  const jwe = JSON.parse(envelope) as { recipients: object[] }
  return JSON.stringify({ ...jwe, recipients: [{ encrypted_key: 'AAAA' }, ...jwe.recipients] })
}

interface Message {
  readonly what: string
  readonly envelope: string
  readonly channel: string
  readonly recordKey: string | null
  readonly expected: { readonly bytes: number } | { readonly error: unknown }
}

const OPENS = { bytes: PAYLOAD.length }
const ELSEWHERE = { error: 'of another channel or record key' }
const MESSAGES: readonly Message[] = [
  ...['solo', 'orders', 'small'].map((channel) => ({ what: channel, envelope: sealed(channel, '42'), channel, recordKey: '42', expected: OPENS })),
  { what: 'without a record key', envelope: sealed('orders', null), channel: 'orders', recordKey: null, expected: OPENS },
  { what: 'on another channel', envelope: sealed('orders', '42'), channel: 'solo', recordKey: '42', expected: ELSEWHERE },
  { what: 'under another record key', envelope: sealed('orders', '42'), channel: 'orders', recordKey: '43', expected: ELSEWHERE },
  { what: 'under no record key', envelope: sealed('orders', '42'), channel: 'orders', recordKey: null, expected: ELSEWHERE },
  { what: 'under a record key that was not bound', envelope: sealed('orders', null), channel: 'orders', recordKey: '42', expected: ELSEWHERE },
  { what: 'beside an entry without a header', envelope: withBareEntry(sealed('orders', '42')), channel: 'orders', recordKey: '42', expected: OPENS },
  { what: 'compressed with what takes another library', envelope: sealed('zstd', '42'), channel: 'zstd', recordKey: '42', expected: { error: expect.stringContaining('zstd takes') } },
]

describe.each(RECIPES)('the recipe in $language', ({ language, peer, prepare }) => {
  const missing = peer.missing()
  // oxlint-disable-next-line no-console -- what is missing is said aloud
  if (missing !== undefined) console.warn(`the recipe in ${language} ${REQUIRED ? 'is required' : 'is skipped'}: ${missing}`)
  let command: readonly [string, ...string[]]
  beforeAll(async () => {
    if (missing !== undefined) return undefined
    const folder = mkdtempSync(join(tmpdir(), 'sealbus-recipe-'))
    const page = readFileSync(at('../../docs/FORMAT.md'), 'utf8')
    const [, text = ''] = new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(page.slice(page.indexOf('### Recipes'))) ?? []
    command = await prepare(folder, text)
    return () => rmSync(folder, { recursive: true })
  })

  it.skipIf(missing !== undefined && !REQUIRED)('opens what was sealed, and refuses what was moved', () => {
    expect(missing).toBeUndefined()
    const [program, ...args] = command
    const task = { jwk: billing.privateJwk, messages: MESSAGES.map(({ envelope, channel, recordKey }) => ({ envelope, channel, recordKey })) }
    const { results } = JSON.parse(execFileSync(program, args, { input: JSON.stringify(task), encoding: 'utf8' })) as { results: readonly object[] }
    expect(MESSAGES.map(({ what }, index) => ({ what, ...results[index] }))).toEqual(MESSAGES.map(({ what, expected }) => ({ what, ...expected })))
  })
})
