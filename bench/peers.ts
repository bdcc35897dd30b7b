import { randomBytes } from 'node:crypto'
import { AlgorithmSuiteIdentifier, buildClient, CommitmentPolicy, getLocalCryptographicMaterialsCache, NodeCachingMaterialsManager, RawAesKeyringNode, RawAesWrappingSuiteIdentifier } from '@aws-crypto/client-node'
// Not in the package's index, but the only way to its encryption without a registry.
import { Cryptor, DekFormat } from '@confluentinc/schemaregistry/dist/rules/encryption/encrypt-executor.js'

/** Libraries that a team would otherwise take for message payloads, each with its data key cached. */
export interface Peer {
  encrypt(payload: Buffer): Promise<unknown>
}

/** AWS Encryption SDK with its caching manager: committing, unsigned suite; a local wrapping key instead of KMS. */
export function awsPeer(): Peer {
  const { encrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
  const backingMaterials = new RawAesKeyringNode({
    keyName: 'bench',
    keyNamespace: 'bench',
    unencryptedMasterKey: randomBytes(32),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  })
  const manager = new NodeCachingMaterialsManager({ backingMaterials, cache: getLocalCryptographicMaterialsCache(100), maxAge: 60_000, maxMessagesEncrypted: 1_024 })
  // Without a length it does not cache.
  return { encrypt: (payload) => encrypt(manager, payload, { plaintextLength: payload.length, suiteId: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY }) }
}

/** Confluent's payload encryption, with the data key in hand: no registry and no KMS in the way. */
export function confluentPeer(): Peer {
  const cryptor = new Cryptor(DekFormat.AES256_GCM)
  const dek = cryptor.generateKey()
  return { encrypt: (payload) => cryptor.encrypt(dek, payload) }
}
