/**
 * The bytes of a canonical base64url text: no padding, no white space, no stray bits (RFC 7515 §2).
 * Undefined for any other text: Buffer.from() takes garbage silently.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

/** Decoded size of a base64url text, known before decoding. */
export function decodedSize(text: string): number {
  return Math.floor((text.length * 3) / 4)
}
