import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** Asks for a word, which no habit types. */
export async function confirmed(question: string, word: string, { input, output }: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream }): Promise<boolean> {
  const lines = createInterface({ input, output })
  try {
    output.write(`${question}\nType ${word} to go on: `)
    const [answer] = (await Promise.race([once(lines, 'line'), once(lines, 'close')])) as [string?]
    return answer?.trim() === word
  } finally {
    lines.close()
  }
}
