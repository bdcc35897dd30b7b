/**
 * The bytes of a canonical base64url text: no padding, no white space, no stray bits (RFC 7515 §2).
 * Undefined for any other text: Buffer.from() takes garbage silently.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

/**
 * The same, for text that has one byte per character (latin1). The decoder passes over what is not in the alphabets, so
 * that the size shows it; what remains is checked here: the other alphabet's two characters, and stray bits. Encoding
 * again would cost as much as decrypting.
 */
export function decodeLatin1Base64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== decodedSize(text) || text.includes('+') || text.includes('/')) return undefined
  const strayBits = STRAY_BITS[text.length % 4]
  return strayBits === undefined || strayBits.includes(text.charAt(text.length - 1)) ? bytes : undefined
}

/** The last characters without stray bits, by the count of characters in the last group of four; one is never enough. */
const STRAY_BITS: Readonly<Record<number, string>> = { 1: '', 2: 'AQgw', 3: 'AEIMQUYcgkosw048' }

/** Decoded size of a base64url text, known before decoding. */
export function decodedSize(text: string): number {
  return Math.floor((text.length * 3) / 4)
}

/** Characters that so many bytes take. */
export function encodedSize(bytes: number): number {
  return Math.ceil((bytes * 4) / 3)
}
