/** Looks for canaries in one byte stream, given chunk by chunk; borders between chunks hide nothing. */
export class CanarySearch {
  readonly #missing: Set<Buffer>
  readonly #overlap: number
  #tail: Buffer = Buffer.alloc(0)

  constructor(canaries: readonly Buffer[]) {
    // An empty canary is in every stream: a test that has one by mistake must not go on.
    if (canaries.some((canary) => canary.length === 0)) throw new RangeError('A canary needs at least one byte')
    this.#missing = new Set(canaries)
    this.#overlap = Math.max(0, ...canaries.map((canary) => canary.length - 1))
  }

  /** The canaries that this chunk completes; each is reported once. */
  push(chunk: Buffer): Buffer[] {
    const window = Buffer.concat([this.#tail, chunk])
    const found = [...this.#missing].filter((canary) => window.includes(canary))
    for (const canary of found) this.#missing.delete(canary)
    this.#tail = Buffer.from(window.subarray(Math.max(0, window.length - this.#overlap)))
    return found
  }
}
