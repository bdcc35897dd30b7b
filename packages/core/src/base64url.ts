/**
 * The bytes of a canonical base64url text: no padding, no white space, no stray bits (RFC 7515 §2).
 * Undefined for any other text: Buffer.from() takes garbage silently.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

/**
 * The same, for text that stands in a buffer, from `start` to `end`. It is decoded in pieces that stay in the processor's
 * cache. The decoder passes over what is in neither alphabet, so that the size shows it; what remains is checked here: the other
 * alphabet's two characters, and stray bits. Encoding again would cost as much as decrypting.
 */
export function readBase64url(text: Buffer, start: number, end: number): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(decodedSize(end - start))
  let written = 0
  for (let at = start; at < end; at += PIECE) {
    const piece = text.toString('latin1', at, Math.min(end, at + PIECE))
    const size = bytes.write(piece, written, 'base64url')
    if (size !== decodedSize(piece.length) || piece.includes('+') || piece.includes('/')) return undefined
    written += size
  }
  const lastCharacters = STRAY_BITS[(end - start) % 4]
  return lastCharacters === undefined || lastCharacters.includes(String.fromCharCode(text[end - 1] as number)) ? bytes : undefined
}

/** Writes bytes as base64url into a buffer, in pieces as above; gives the position after the last character. */
export function writeBase64url(bytes: Buffer, text: Buffer, start: number): number {
  let at = start
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) at += text.write(bytes.toString('base64url', from, from + PIECE_BYTES), at, 'latin1')
  return at
}

/** Characters; a multiple of four, so that every piece decodes by itself. */
const PIECE = 32_768
const PIECE_BYTES = 24_576

/** The last characters without stray bits, by the count of characters in the last group of four; one is never enough. */
const STRAY_BITS: Readonly<Record<number, string>> = { 1: '', 2: 'AQgw', 3: 'AEIMQUYcgkosw048' }

/** Bytes that so many characters decode to, known before decoding. */
export function decodedSize(characters: number): number {
  return Math.floor((characters * 3) / 4)
}

/** Characters that so many bytes take. */
export function encodedSize(bytes: number): number {
  return Math.ceil((bytes * 4) / 3)
}
