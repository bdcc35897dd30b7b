import { createHmac } from 'node:crypto'

/** `kc` of docs/FORMAT.md, written from its text. */
export function keyCommitment(contentKey: Uint8Array, enc: string): string {
  return createHmac('sha256', contentKey).update(`sealbus/1 kc ${enc}`).digest('base64url')
}
