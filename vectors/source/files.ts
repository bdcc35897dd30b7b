import type { VectorCase } from './case.ts'
import { algorithms } from './cases/algorithms.ts'
import { cryptography } from './cases/cryptography.ts'
import { texts } from './cases/json-text.ts'
import { nativeHeader } from './cases/native-header.ts'
import { structure } from './cases/structure.ts'
import { surroundings } from './cases/surroundings.ts'

const FILES: Readonly<Record<string, { readonly about: string; readonly cases: () => readonly VectorCase[] }>> = {
  'algorithms.json': { about: 'Good envelopes of every algorithm, serialization and number of recipients', cases: algorithms },
  'text.json': { about: 'base64url and JSON', cases: texts },
  'structure.json': { about: 'The serializations, their members, entries and sizes', cases: structure },
  'header.json': { about: 'The protected header: enc, typ, cty, kc and msg; foreign envelopes', cases: nativeHeader },
  'cryptography.json': { about: 'Our entry, its key, and decryption', cases: cryptography },
  'context.json': { about: 'Where the message was found, and decompression', cases: surroundings },
}

/** The text of each file of vectors: the same in each run. */
export function vectorFiles(): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(FILES).map(([file, { about, cases }]) => [file, text(about, cases())]))
}

/** A case per line, so that a change shows. */
function text(about: string, cases: readonly VectorCase[]): string {
  const names = new Set<string>()
  for (const { name } of cases) {
    if (names.has(name)) throw new Error(`two cases are named ${JSON.stringify(name)}`)
    names.add(name)
  }
  const lines = cases.map((each) => JSON.stringify(each))
  return `{"format":"sealbus/1","about":${JSON.stringify(about)},"cases":[\n${lines.join(',\n')}\n]}\n`
}
