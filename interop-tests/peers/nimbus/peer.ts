import { fileURLToPath } from 'node:url'
import { missingExecutables } from '../../executables.ts'
import type { Peer } from '../../peer.ts'
import { nimbusClassPath } from './class-path.ts'

/** Nimbus JOSE+JWT, from Maven Central. */
export const nimbus: Peer = {
  name: 'Nimbus JOSE+JWT',
  missing: () => missingExecutables('java', 'javac', 'mvn'),
  prepare: async () => ['java', '-cp', await nimbusClassPath(fileURLToPath(new URL('.', import.meta.url))), 'NimbusPeer'],
  cannot: [
    { reason: 'MultiEncrypter takes no `apu` and `apv`', when: ({ task, partyInfo, kinds }) => task === 'seal' && partyInfo && kinds.length > 1 },
  ],
}
