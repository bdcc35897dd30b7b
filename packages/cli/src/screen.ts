import type { WriteStream } from 'node:tty'
import { stripVTControlCharacters, styleText } from 'node:util'
import Table from 'cli-table3'

export type Tone = 'title' | 'strong' | 'quiet' | 'good' | 'bad' | 'secret' | 'name'

const TONES = { title: ['bold', 'cyan'], strong: ['bold'], quiet: ['dim'], good: ['green'], bad: ['red'], secret: ['yellow'], name: ['cyan'] } as const satisfies Record<Tone, readonly string[]>

/** The terminal, or the file or pipe in its place. */
export interface Screen {
  /** 60 to 110: wider lines are hard to read. */
  readonly columns: number
  /** Whether someone is watching. */
  readonly interactive: boolean
  /** In colour, where the stream has colours and the user wants them. */
  tone(tone: Tone, text: string): string
  line(text?: string): void
  heading(text: string): void
  /** A paragraph, wrapped. */
  say(text: string): void
  /** A paragraph that hangs on a mark. */
  item(mark: string, text: string): void
  /** Rows of cells; a cell has lines. `shares` are the columns' widths in proportion. `dense`: no lines between rows. */
  table(table: { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[]; readonly shares: readonly number[]; readonly dense?: boolean }): void
  /** What `table` gives each column to write in. */
  widths(shares: readonly number[]): number[]
}

export function createScreen(stream: NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>): Screen {
  const interactive = stream.isTTY === true
  const columns = Math.min(110, Math.max(60, (interactive && stream.columns) || 80))
  const tone = (tone: Tone, text: string): string => styleText([...TONES[tone]], text, { stream, validateStream: true })
  const line = (text = ''): void => void stream.write(`${text}\n`)
  const widths = (shares: readonly number[]): number[] => {
    // Each column has a border and two blanks; one more border closes the row.
    const room = columns - 3 * shares.length - 1
    const total = shares.reduce((sum, share) => sum + share, 0)
    const floored = shares.map((share) => Math.floor((room * share) / total))
    const rest = room - floored.reduce((sum, width) => sum + width, 0)
    return floored.map((width, index) => (index === floored.length - 1 ? width + rest : width))
  }
  return {
    columns,
    interactive,
    tone,
    line,
    widths,
    heading(text): void {
      line()
      line(tone('title', text))
      line()
    },
    say(text): void {
      for (const each of wrap(text, columns)) line(each)
    },
    item(mark, text): void {
      const indent = stripVTControlCharacters(mark).length + 4
      for (const [index, each] of wrap(text, columns - indent).entries()) line(index === 0 ? `  ${mark}  ${each}` : `${' '.repeat(indent)}${each}`)
    },
    table({ head, rows, shares, dense = false }): void {
      const colWidths = widths(shares).map((width) => width + 2)
      const table = new Table({ head: head.map((each) => tone('strong', each)), colWidths, wordWrap: true, wrapOnWordBoundary: true, style: { head: [], border: [], compact: dense } })
      table.push(...rows.map((row) => [...row]))
      line(table.toString().split('\n').map((each) => dimBorders(each, tone)).join('\n'))
    },
  }
}

/** Box drawing into the background, so that the words stand out. */
function dimBorders(text: string, tone: Screen['tone']): string {
  return text.replaceAll(/[─│┌┐└┘├┤┬┴┼]+/g, (border) => tone('quiet', border))
}

/** Words into lines of at most `width` characters; colours take no room. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && stripVTControlCharacters(`${last} ${word}`).length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** The beginning of a text without blanks, in at most `most` lines of at most `width` characters; `…` says that more was there. */
export function fold(text: string, width: number, most: number): string[] {
  const room = width * most
  const shown = text.length > room ? `${text.slice(0, room - 1)}…` : text
  return shown.match(new RegExp(`.{1,${width}}`, 'g')) ?? []
}

/** A code such as ERR_SEALBUS_DECRYPT_FAILED into lines of at most `width` characters, broken behind an underscore. */
export function foldCode(code: string, width: number): string[] {
  return wrap(code.replaceAll('_', '_ '), width).map((each) => each.replaceAll(' ', ''))
}
