import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Ended, run, SEALBUS, UNTRUE_DEMO } from '../support/child-process.ts'

const ESCAPE = '\u001B'

/** The row of figures that begins with this name. */
function figure(output: string, name: string): string {
  const row = output.split('\n').find((line) => line.includes(`│ ${name} `))
  return row?.split('│')[2]?.trim() ?? `no row ${name}`
}

const count = (text: string): number => Number(text.replaceAll(',', ''))

describe('sealbus demo', () => {
  let demo: Ended
  beforeAll(async () => {
    demo = await run(SEALBUS, ['demo', '--messages', '60'])
  }, 60_000)

  it('ends by itself, with every check held and nothing on stderr', () => {
    expect(demo.stderr).toBe('')
    expect(demo.code).toBe(0)
    expect(demo.stdout.match(/^ {2}✓ {2}/gm)).toHaveLength(7)
    expect(demo.stdout).not.toContain('✗')
  })

  it('is plain and at most 80 columns wide where nobody is watching', () => {
    expect(demo.stdout).not.toContain(ESCAPE)
    expect(Math.max(...demo.stdout.split('\n').map((line) => line.length))).toBe(80)
  })

  it('shows every step, in order', () => {
    const steps = ['1  Billing and shipping publish', '2  The orders service sends 30 orders', '3  Someone on the broker', '4  Billing, shipping and audit', '5  Billing changes its key', '6  Rush hour', 'What happened']
    const places = steps.map((step) => demo.stdout.indexOf(`\n${step}`))
    expect(places).not.toContain(-1)
    expect(places).toEqual(places.toSorted((a, b) => a - b))
  })

  it('shows what the broker stores beside what each service sees', () => {
    const row = (text: string): string[] => demo.stdout.split('\n').filter((line) => line.includes(text)).map((line) => line.split('│').map((cell) => cell.trim()).join('|'))
    expect(row('Alan Turing')).toEqual([expect.stringMatching(/^\|[\w-]{16}\|Alan Turing\|Alan Turing\|ERR_SEALBUS_\|$/)])
    expect(row('changed: parked')).toEqual(['|A-1001|changed: parked|changed: parked|not for us: skip|'])
    // Once as it was sent; nobody saw it after it was changed.
    expect(demo.stdout.match(/Ada Lovelace/g)).toHaveLength(1)
    const fingerprints = [...demo.stdout.matchAll(/SHA-256 ([\da-f]{16})/g)].map(([, fingerprint]) => fingerprint)
    expect(fingerprints).toHaveLength(3)
    expect(new Set(fingerprints).size).toBe(1)
  })

  it('has figures that agree with each other and with the story', () => {
    const sent = count(figure(demo.stdout, 'Orders sent'))
    expect(sent).toBe(60 + 2_000)
    expect(demo.stdout).toContain(`in ${sent.toLocaleString('en')} messages on the broker`)
    const read = [...demo.stdout.matchAll(/(?:Billing|Shipping) read ([\d,]+) orders/g)].map(([, number]) => count(number ?? ''))
    expect(read).toEqual([sent - 1, sent - 1])
    const [, old = '', fresh = ''] = /opened ([\d,]+) with its old key and ([\d,]+) with\s+its new/.exec(demo.stdout.replaceAll(/\n +/g, ' ')) ?? []
    expect(count(old) + count(fresh)).toBe(sent - 1)
    expect(count(old)).toBeGreaterThanOrEqual(30)
    expect(count(fresh)).toBeGreaterThanOrEqual(2_000)
    // One for the old key, and for the new one as many as the bound of 1,024 messages makes.
    expect(count(figure(demo.stdout, 'Content keys'))).toBe(1 + Math.ceil(count(fresh) / 1_024))
    // Billing's endpoint twice, shipping's once.
    expect(count(figure(demo.stdout, 'Key fetches'))).toBe(3)
    expect(count(figure(demo.stdout, 'Orders/second'))).toBeGreaterThan(0)
    const [plain = 0, wire = 0] = figure(demo.stdout, 'Bytes/order').split(' → ').map(count)
    expect(wire).toBeGreaterThan((plain * 4) / 3)
  })
})

describe('a demo whose story is not true', () => {
  it.concurrent.each([
    ['twice', /✗ {2}Billing read .* NOT SO: 0 missing, 1 more than once, 0 not as sent/],
    ['altered', /✗ {2}Shipping read .* NOT SO: 1 missing, 0 more than once, 1 not as sent/],
    ['leak', /✗ {2}No customer, item or card number .* NOT SO: 1 of them can be read/],
    ['curious', /✗ {2}Audit was given .* NOT SO: it opened 1 and was refused/],
    ['rewritten', /✗ {2}Billing parked .* NOT SO: 1 parked, .* not identical/],
  ])('%s: the check fails, and the exit code is 1', async (untruth, line) => {
    const { code, stdout } = await run(UNTRUE_DEMO, [untruth])
    expect(stdout.replaceAll(/\n {5}/g, ' ')).toMatch(line)
    expect(code).toBe(1)
  })

  it('breaks off with a message and exit code 1 when the broker goes away', async () => {
    const { code, stderr } = await run(UNTRUE_DEMO, ['broken'])
    expect(stderr.trim()).toBe('error: the broker went away')
    expect(code).toBe(1)
  })
})

describe('a broker that cannot be reached', () => {
  it.each([
    ['kafka', '--kafka-brokers', (port: number) => `127.0.0.1:${port}`],
    ['rabbitmq', '--amqp-url', (port: number) => `amqp://user:hunter2@127.0.0.1:${port}`],
  ])('%s: says so and how to start one, without a stack trace, with exit code 3', async (broker, option, address) => {
    const { code, stderr } = await run(SEALBUS, ['demo', '--broker', broker, option, address(await unusedPort())])
    expect(stderr).toMatch(/^\nerror: cannot reach (Kafka|RabbitMQ) at \S*127\.0\.0\.1:\d+: connect ECONNREFUSED/)
    expect(stderr).toContain('docker compose up -d --wait')
    expect(stderr).not.toContain('    at ')
    expect(stderr).not.toContain('hunter2')
    expect(code).toBe(3)
  })

  it('takes addresses from the environment', async () => {
    const address = `127.0.0.1:${await unusedPort()}`
    const { code, stderr } = await run(SEALBUS, ['demo', '--broker', 'kafka'], { env: { SEALBUS_KAFKA_BROKERS: address } })
    expect(stderr).toContain(`cannot reach Kafka at ${address}`)
    expect(code).toBe(3)
  })
})

describe('an interruption', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends it within 5 s, with exit code %i and no stack trace', async (signal, expected) => {
    let interrupted = 0
    const { code, stdout, stderr } = await run(SEALBUS, ['demo'], {
      onOutput: (text, child) => {
        if (interrupted > 0 || !text.includes('5  Billing changes its key')) return
        interrupted = performance.now()
        child.kill(signal)
      },
    })
    expect(interrupted).toBeGreaterThan(0)
    expect(performance.now() - interrupted).toBeLessThan(5_000)
    expect(stdout).not.toContain('What happened')
    expect(stderr).toBe('')
    expect(code).toBe(expected)
  })
})

/** A port that was free a moment ago. */
async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
