/** The same envelope with one bit of its ciphertext changed, and not another byte. */
export function flipCiphertextBit(envelope: Buffer): Buffer {
  const text = envelope.toString('utf8')
  const { ciphertext } = JSON.parse(text) as { ciphertext: string }
  const bytes = Buffer.from(ciphertext, 'base64url')
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0)
  return Buffer.from(text.replace(ciphertext, bytes.toString('base64url')))
}
