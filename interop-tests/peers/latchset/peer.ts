import { fileURLToPath } from 'node:url'
import { missingExecutables, output } from '../../executables.ts'
import type { KeyKind } from '../../keys.ts'
import type { Inability, Peer } from '../../peer.ts'

/** Keys of others are no hindrance to opening. */
const concerns = (kind: KeyKind): Inability['when'] => ({ task, own, kinds }) => (task === 'open' ? own === kind : kinds.includes(kind))

const hasRsaOaep = output('jose', 'alg').split('\n').includes('RSA-OAEP-256')

/** latchset's command line: Debian package `jose`. */
export const latchset: Peer = {
  name: 'latchset jose',
  missing: () => missingExecutables('jose'),
  prepare: async () => [process.execPath, fileURLToPath(new URL('program.ts', import.meta.url))],
  cannot: [
    { reason: 'it never shows the content key', when: ({ task }) => task === 'commitment' },
    { reason: 'it draws the content key itself, so that `kc` cannot be known before', when: ({ task, native }) => task === 'seal' && native },
    { reason: 'it has no X25519', when: concerns('X25519') },
    { reason: 'before version 12, with OpenSSL 3, it has no RSA-OAEP', when: (attempt) => !hasRsaOaep && concerns('RSA')(attempt) },
    { reason: 'it writes a sole recipient as Flattened', when: ({ task, form, kinds }) => task === 'seal' && form === 'general' && kinds.length === 1 },
  ],
}
