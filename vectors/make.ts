/** Writes the vectors: `npx node --conditions=@sealbus/source vectors/make.ts`. The same bytes in each run. */
import { writeFileSync } from 'node:fs'
import { vectorFiles } from './source/files.ts'

for (const [file, text] of Object.entries(vectorFiles())) writeFileSync(new URL(file, import.meta.url), text)
