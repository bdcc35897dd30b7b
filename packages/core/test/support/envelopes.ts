import { expect } from 'vitest'
import { contentEncryption } from '../../src/algorithms.ts'
import { draftEnvelope, type EnvelopeForm, finishEnvelope } from '../../src/envelope.ts'

/** What an envelope is made of; nothing of it need fit together. */
export interface EnvelopeParts {
  readonly contentType?: string | undefined
  readonly context: string
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

/** An A256GCM envelope from its parts. */
export function writeEnvelope(form: EnvelopeForm, { contentType, context, iv, ciphertext, tag }: EnvelopeParts): Buffer {
  const row = contentEncryption('A256GCM') ?? expect.fail()
  const draft = draftEnvelope(form, row, contentType, context, ciphertext.length) ?? expect.fail('the protected header is too large')
  return finishEnvelope(draft, iv, ciphertext, tag)
}
