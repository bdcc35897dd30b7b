import type { ListedCopy } from '@sealbus/kafka'
import { type PublicParts, publicParts } from '@sealbus/core/tools'
import { isSealbusError } from '@sealbus/core'

/** A copy for people and programs. None of it is authenticated. */
export interface CopyView {
  readonly id: string
  readonly code: string
  readonly by: string
  readonly origin: string | undefined
  readonly time: string | undefined
  readonly bytes: number
  readonly kids: readonly string[]
  readonly redriven: boolean
}

export function viewCopy({ id, code, by, origin, time, bytes, redriven }: ListedCopy): CopyView {
  const parts = readParts(bytes)
  const kids = 'problem' in parts ? [] : parts.recipients.map(({ kid }) => kid ?? '')
  return { id, code, by, origin, time: time?.toISOString(), bytes: bytes.length, kids, redriven }
}

/** The envelope's public parts, or why there are none. */
export function readParts(bytes: Buffer): PublicParts | { readonly problem: string } {
  try {
    return publicParts(bytes)
  } catch (error) {
    return { problem: isSealbusError(error) ? error.message : 'it cannot be read' }
  }
}
