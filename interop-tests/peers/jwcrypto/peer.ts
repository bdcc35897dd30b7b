import { fileURLToPath } from 'node:url'
import { succeeds } from '../../executables.ts'
import type { Peer } from '../../peer.ts'

/** Debian installs for its own Python, which need not be the first on the PATH. */
export const python = ['python3', '/usr/bin/python3'].find((each) => succeeds(each, '-c', 'import jwcrypto'))

/** Python's jwcrypto: Debian package `python3-jwcrypto`. */
export const jwcrypto: Peer = {
  name: 'jwcrypto',
  missing: () => (python === undefined ? 'no Python 3 has jwcrypto' : undefined),
  prepare: async () => [python ?? 'python3', fileURLToPath(new URL('program.py', import.meta.url))],
  cannot: [
    { reason: 'it takes an empty plaintext for a failure', when: ({ task, payloadBytes }) => task === 'open' && payloadBytes === 0 },
    { reason: 'it writes a sole recipient as Flattened', when: ({ task, form, kinds }) => task === 'seal' && form === 'general' && kinds.length === 1 },
  ],
}
