import { fileURLToPath } from 'node:url'
import type { Peer } from '../../peer.ts'

/** npm `node-jose`. */
export const nodeJose: Peer = {
  name: 'node-jose',
  missing: () => undefined,
  prepare: async () => [process.execPath, fileURLToPath(new URL('program.ts', import.meta.url))],
  cannot: [
    { reason: 'it has no X25519', when: ({ task, own, kinds }) => (task === 'seal' ? kinds.includes('X25519') : own === 'X25519') },
  ],
}
