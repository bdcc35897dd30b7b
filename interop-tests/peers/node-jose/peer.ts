import { fileURLToPath } from 'node:url'
import type { Peer } from '../../peer.ts'

/** npm `node-jose`. */
export const nodeJose: Peer = {
  name: 'node-jose',
  missing: () => undefined,
  prepare: async () => [process.execPath, fileURLToPath(new URL('program.ts', import.meta.url))],
  cannot: [
    { reason: "it has no X25519, and one such `epk` fails the whole message", when: ({ kinds }) => kinds.includes('X25519') },
  ],
}
