import type { Identity, UnwrapRequest } from '@sealbus/core'

/** One line of JSON each way; `id` tells which answer belongs to which question. */
export type Question = { readonly id: number } & (
  | { readonly ask: 'list' }
  | { readonly ask: 'unwrap'; readonly request: Pick<UnwrapRequest, 'kid' | 'alg' | 'enc' | 'epk'> & { readonly encryptedKey: string; readonly apu?: string; readonly apv?: string } }
)

export interface Answer {
  readonly id: number
  readonly identities?: readonly Omit<Identity, 'unwrap'>[]
  /** Null: the wrapped key is not this identity's, or is broken. */
  readonly contentKey?: string | null
  readonly forbidden?: true
}

export const toLine = (message: Question | Answer): string => `${JSON.stringify(message)}\n`
export const questionOf = (line: string): Question => JSON.parse(line) as Question
export const answerOf = (line: string): Answer => JSON.parse(line) as Answer
