import { readFile } from 'node:fs/promises'

/** docs/ERRORS.md: beside the program where that is built, and in the repository where it runs from its sources. */
const DOCS = new URL(import.meta.url.endsWith('.ts') ? '../../../../docs/ERRORS.md' : '../ERRORS.md', import.meta.url)

/** What the documentation says of a code: a paragraph on what it means, and one on what to do. */
export async function explain(code: string): Promise<readonly string[]> {
  const sections = (await readFile(DOCS, 'utf8')).split(/^## /m)
  const section = sections.find((each) => each.startsWith(`${code}\n`))
  if (section) return section.split('\n\n').slice(1).map((each) => each.trim()).filter(Boolean)
  if (code === 'rejected') return ['The queue rejected it to its dead-letter exchange, which does not tell why: the service did, by `onParked`.', 'A dry run with the identities of the service tells whether it would open now.']
  return ['A code that this version does not know: a newer Sealbus parked it.']
}
