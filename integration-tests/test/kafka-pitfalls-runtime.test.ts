import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { defineChannels } from '@sealbus/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { describeWithKafka } from '../support/brokers.ts'
import { useKafka, WAIT } from '../support/kafka-fixture.ts'

// The numbers are those of the list of pitfalls in docs/KAFKA.md.
const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] } })

describeWithKafka('Kafka pitfalls: the warnings of a process', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  beforeEach(() => void process.on('warning', note))
  afterEach(() => void process.off('warning', note))

  it("pitfall 37: kafkajs' warning about negative time-outs is filtered by its name here, and the wrapper adds none of its own", async () => {
    const { sealed, consumer } = fixture
    const topic = await fixture.topic()
    const seen: string[] = []
    // Listeners that pile up would be a warning too.
    for (let round = 0; round < 12; round++) await Promise.all(Array.from({ length: 20 }, (_, index) => sealed.send({ topic, messages: [{ value: `${round}-${index}` }] })))
    const consumers = await Promise.all(Array.from({ length: 3 }, () => consumer({ topics: [topic] })))
    for (const each of consumers) await each.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen.length, WAIT).toBe(3 * 240)
    // A warning of another name comes through, so that the filter is known to let them.
    process.emitWarning('heard', 'SealbusTestWarning')
    process.emitWarning('-5 is a negative number.', 'TimeoutNegativeWarning')
    await vi.waitFor(() => expect(warnings.length).toBeGreaterThan(0))
    expect(warnings.map(({ name }) => name)).toEqual(['SealbusTestWarning'])
  })
})

describe('Kafka pitfalls: keys made and exported beside garbage collection', () => {
  it('pitfall 38: 20,000 sealed messages, then 6,000 ephemeral keys, end well within a minute: nothing waits for itself', { timeout: 120_000 }, async () => {
    // A process of its own, because what it looks for is a main thread that never comes back.
    const program = `
      import { generateKeyPairSync } from 'node:crypto'
      import { createSealer, createStaticDirectory, defineChannels } from '@sealbus/core'
      const channels = defineChannels({ orders: { to: ['billing'] } })
      const directory = createStaticDirectory({ billing: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) })
      const shared = createSealer({ directory, channels })
      for (let count = 0; count < 20_000; count++) shared.sealSync('x'.repeat(100), { channel: 'orders', key: null })
      const single = createSealer({ directory, channels, contentKeys: 'per-message' })
      const kids = new Set()
      for (let count = 0; count < 6_000; count++) kids.add(JSON.parse(Buffer.from(JSON.parse(single.sealSync('x', { channel: 'orders', key: null }).bytes).protected, 'base64url')).epk.x)
      console.log(kids.size)
    `
    const child = spawn(process.execPath, ['--conditions=@sealbus/source', '--input-type=module', '--eval', program], { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] })
    const deadline = setTimeout(() => child.kill('SIGKILL'), 60_000)
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => void (output += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    clearTimeout(deadline)
    expect([code, output.trim()]).toEqual([0, '6000'])
  })
})
