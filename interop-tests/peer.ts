import type { JWK } from 'jose'
import type { ContentEncryption, Form } from './cases.ts'
import type { KeyKind } from './keys.ts'
import { startLineProgram } from './line-program.ts'

/** A JOSE library of somebody else, in a process of its own. */
export interface Peer {
  readonly name: string
  /** Why it cannot run on this machine; undefined when it can. */
  missing(): string | undefined
  /** What to run; it may fetch and compile first. The program answers one line of JSON for each that it is given. */
  prepare(): Promise<Command>
  /** All that the library cannot do, each with the reason: tried all the same, and a failure of the test when it works. */
  readonly cannot: readonly Inability[]
}

export type Command = readonly [file: string, ...args: string[]]

export interface Inability {
  readonly reason: string
  /** Whether it concerns this attempt. */
  readonly when: (attempt: Attempt) => boolean
}

/** What a peer is asked to do, in the terms that its inabilities are told in. */
export interface Attempt {
  readonly task: 'open' | 'seal' | 'commitment'
  readonly form: Form
  readonly enc: ContentEncryption
  /** Keys of all recipients. */
  readonly kinds: readonly KeyKind[]
  /** The key that opens; for sealing, the first recipient's. */
  readonly own: KeyKind
  /** With a key commitment, which takes a content key that the program chooses. */
  readonly native: boolean
  readonly partyInfo: boolean
  readonly payloadBytes: number
}

export interface SealTask {
  readonly task: 'seal'
  readonly form: Form
  readonly enc: ContentEncryption
  /** Members of the protected header beside `alg`, `enc`, `kid`, `epk` and `kc`. */
  readonly header: Readonly<Record<string, unknown>>
  /** Whether to choose the content key and to add `kc`. */
  readonly commit: boolean
  /** The `alg` that all recipients share; absent where each has its own. */
  readonly alg?: string
  readonly recipients: readonly { readonly jwk: JWK; readonly apu?: string; readonly apv?: string }[]
  /** Base64url. */
  readonly plaintext: string
}

export interface OpenTask {
  readonly task: 'open'
  readonly jwe: string
  /** Private. */
  readonly jwk: JWK
}

export interface Opened {
  /** Base64url. */
  readonly plaintext: string
  /** The protected header. */
  readonly header: Readonly<Record<string, unknown>>
  /** Whether `kc` fits the content key; null when the library does not show the content key. */
  readonly committed: boolean | null
}

export interface RunningPeer {
  seal(task: SealTask): Promise<string>
  open(task: OpenTask): Promise<Opened>
  stop(): Promise<void>
}

/** @throws when its program cannot be made ready */
export async function startPeer(peer: Peer): Promise<RunningPeer> {
  const [file, ...args] = await peer.prepare()
  const program = startLineProgram(peer.name, file, args)
  return {
    seal: async (task) => (await program.ask(task))['jwe'] as string,
    open: async (task) => (await program.ask(task)) as unknown as Opened,
    stop: () => program.end(),
  }
}
