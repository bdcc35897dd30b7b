import { parseArgs } from 'node:util'
import { benchCore } from './core.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean', default: false }, seconds: { type: 'string', default: '0.25' } } })
const [name = 'core'] = positionals
if (name !== 'core') {
  console.error(`there is no bench ${JSON.stringify(name)}: core`)
  process.exit(2)
}
const result = await benchCore(Number(values.seconds) * 1_000)
if (values.json) console.log(JSON.stringify(result))
else {
  console.table(result.rates)
  console.table(result.ratios)
  console.table(result.addedBytes)
}
