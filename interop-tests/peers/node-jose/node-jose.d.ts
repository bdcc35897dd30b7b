/** What the peer uses of node-jose, which has no types of its own. */
declare module 'node-jose' {
  interface Key {
    unwrap(alg: string, encryptedKey: Buffer, header: object): Promise<Buffer>
  }
  interface Recipient {
    readonly key: Key
    readonly header: Readonly<Record<string, unknown>>
    readonly reference: boolean
  }
  export const JWK: { asKey(jwk: object): Promise<Key> }
  export const JWE: {
    createEncrypt(options: object, ...recipients: readonly Recipient[]): { final(plaintext: Buffer): Promise<unknown> }
    createDecrypt(key: Key, options: object): { decrypt(jwe: unknown): Promise<{ plaintext: Buffer; header: Readonly<Record<string, unknown>>; protected: readonly string[] }> }
  }
}
