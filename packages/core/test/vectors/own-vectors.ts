import { readdirSync, readFileSync } from 'node:fs'
import type { VectorCase } from '../../../../vectors/source/case.ts'

const FOLDER = new URL('../../../../vectors/', import.meta.url)

/** The files of vectors/, as an implementer reads them: nothing of what made them. */
export interface VectorFile {
  readonly file: string
  readonly cases: readonly VectorCase[]
}

export function ownVectors(): readonly VectorFile[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .map((file) => ({ file, ...(JSON.parse(vectorText(file)) as { cases: readonly VectorCase[] }) }))
}

export function vectorText(file: string): string {
  return readFileSync(new URL(file, FOLDER), 'utf8')
}

export function envelopeOf({ envelope, envelopeBytes, trailingSpaces = 0 }: VectorCase): Buffer {
  const bytes = envelope === undefined ? Buffer.from(envelopeBytes ?? '', 'base64url') : Buffer.from(envelope)
  return trailingSpaces === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(trailingSpaces, ' ')])
}
