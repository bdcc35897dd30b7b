import { parseArgs } from 'node:util'
import { benchCore } from './core.ts'
import { benchHeap } from './heap.ts'
import { benchKafka } from './kafka.ts'
import { benchKeys } from './keys.ts'
import { benchRabbitmq } from './rabbitmq.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '0.15' },
    messages: { type: 'string', default: '10000000' },
    recipients: { type: 'string', default: '100000' },
    // What a consumer is timed on, with a broker.
    backlog: { type: 'string', default: '20000' },
  },
})
const BENCHES: Readonly<Record<string, () => Promise<object>>> = {
  core: () => benchCore(Number(values.seconds) * 1_000),
  kafka: () => benchKafka(Number(values.seconds) * 1_000, Number(values.backlog)),
  rabbitmq: () => benchRabbitmq(Number(values.seconds) * 1_000, Number(values.backlog)),
  heap: () => benchHeap(Number(values.messages), Number(values.recipients)),
  keys: () => benchKeys(Number(values.seconds) * 1_000),
}

const [name = 'core'] = positionals
const bench = BENCHES[name]
if (!bench) {
  console.error(`there is no bench ${JSON.stringify(name)}: ${Object.keys(BENCHES).join(', ')}`)
  process.exit(2)
}
const result = await bench()
if (values.json) console.log(JSON.stringify(result))
else {
  for (const [title, table] of Object.entries(result)) {
    console.log(`\n${title}`)
    console.table(table)
  }
}
