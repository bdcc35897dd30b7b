import { jose } from './peers/jose/peer.ts'
import { jwcrypto } from './peers/jwcrypto/peer.ts'
import { latchset } from './peers/latchset/peer.ts'
import { nimbus } from './peers/nimbus/peer.ts'
import { nodeJose } from './peers/node-jose/peer.ts'
import type { Peer } from './peer.ts'

export const PEERS: readonly Peer[] = [jose, nodeJose, jwcrypto, latchset, nimbus]
