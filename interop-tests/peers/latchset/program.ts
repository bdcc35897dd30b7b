import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serveLines } from '../../line-server.ts'
import type { Opened, OpenTask, SealTask } from '../../peer.ts'

/** The command line is the library here: one run of `jose` per task, with files in a folder of its own. */
const folder = mkdtempSync(join(tmpdir(), 'sealbus-interop-'))

async function seal({ form, enc, header, commit, alg, recipients, plaintext }: SealTask): Promise<string> {
  if (commit) throw new TypeError('`jose jwe enc` takes no content key')
  const sole = recipients.length === 1
  const template = {
    protected: { ...header, enc, ...(alg !== undefined && { alg }), ...(sole && { kid: recipients[0]?.jwk.kid }) },
  }
  const args = ['jwe', 'enc', '-i', file('template.json', JSON.stringify(template)), '-I', file('plaintext', Buffer.from(plaintext, 'base64url'))]
  for (const [index, { jwk, apu, apv }] of recipients.entries()) {
    const own = { header: { ...(!sole && { kid: jwk.kid }), ...(alg === undefined && { alg: jwk.alg }), ...(apu !== undefined && { apu }), ...(apv !== undefined && { apv }) } }
    args.push('-r', file(`recipient-${index}.json`, JSON.stringify(own)), '-k', file(`key-${index}.json`, JSON.stringify(jwk)))
  }
  if (form === 'compact') args.push('-c')
  const made = jose(args).toString()
  if (form === 'general' && !('recipients' in (JSON.parse(made) as object))) throw new TypeError('it was serialized as flattened')
  return made
}

async function open({ jwe, jwk }: OpenTask): Promise<Opened> {
  const plaintext = jose(['jwe', 'dec', '-i', file('envelope', jwe), '-k', file('key.json', JSON.stringify(jwk))])
  const encoded = jwe.startsWith('{') ? (JSON.parse(jwe) as { protected: string }).protected : (jwe.split('.')[0] ?? '')
  const header = JSON.parse(Buffer.from(encoded, 'base64url').toString()) as Record<string, unknown>
  // The command prints the plaintext only, so there is nothing to compare `kc` with.
  return { plaintext: plaintext.toString('base64url'), header, committed: null }
}

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function jose(args: readonly string[]): Buffer {
  return execFileSync('jose', args, { maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'] })
}

try {
  await serveLines({ seal, open })
} finally {
  rmSync(folder, { recursive: true })
}
