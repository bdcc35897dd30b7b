import { fileURLToPath } from 'node:url'
import type { Peer } from '../../peer.ts'

/** npm `jose`. */
export const jose: Peer = {
  name: 'jose',
  missing: () => undefined,
  prepare: async () => [process.execPath, fileURLToPath(new URL('program.ts', import.meta.url))],
  cannot: [
    { reason: 'it never shows the content key', when: ({ task }) => task === 'commitment' },
    { reason: 'GeneralEncrypt draws the content key itself, so that `kc` cannot be known before', when: ({ task, native, form }) => task === 'seal' && native && form === 'general' },
  ],
}
