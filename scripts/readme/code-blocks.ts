/** A code block of a README: a whole module, named by the comment that it starts with. */
export interface CodeBlock {
  readonly file: string
  readonly code: string
  /** Lines that running it prints: those in its comments `// prints …`. */
  readonly prints: readonly string[]
  /** Whether another block imports it, so that it is not run by itself. */
  readonly imported: boolean
}

const FENCE = /^```ts[^\n]*\n(.*?)^```$/gms
const NAME = /^\/\/ ([a-z0-9-]+\.ts)\b/

export function codeBlocks(markdown: string): readonly CodeBlock[] {
  const codes = [...markdown.matchAll(FENCE)].map(([, code = '']) => code)
  return codes.map((code) => {
    const file = NAME.exec(code)?.[1]
    if (file === undefined) throw new Error(`a code block does not start with the name of its file: ${code.slice(0, 60)}`)
    const prints = [...code.matchAll(/\/\/ prints (.*)$/gm)].map(([, line = '']) => line)
    return { file, code, prints, imported: codes.some((other) => other.includes(`from './${file}'`)) }
  })
}

const SHELL = /^```sh\n(.*?)^```$/gms
const KEY_COMMAND = /^npx sealbus (keys [^#\n]*)/gm

/** The commands of a README that make and change keys, each as its arguments: what is done before its code runs. */
export function keyCommands(markdown: string): readonly string[][] {
  const shells = [...markdown.matchAll(SHELL)].map(([, lines = '']) => lines)
  return shells.flatMap((lines) => [...lines.matchAll(KEY_COMMAND)].map(([, args = '']) => args.trim().split(/ +/)))
}
