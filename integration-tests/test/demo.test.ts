import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { expect, it } from 'vitest'
import { describeWithKafka, describeWithRabbit } from '../support/brokers.ts'

const SEALBUS = fileURLToPath(new URL('../../packages/cli/src/sealbus.ts', import.meta.url))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** From the interruption to the end, in milliseconds; undefined where there was none. */
  readonly endedAfterMs: number | undefined
}

/** Runs `sealbus demo`, and interrupts it when this text is shown. */
async function demo(args: readonly string[], interruptAt?: string): Promise<Ended> {
  const child = spawn(process.execPath, ['--conditions=@sealbus/source', SEALBUS, 'demo', '--messages', '40', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  let interruptedAt: number | undefined
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (stderr += text))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (interruptAt === undefined || interruptedAt !== undefined || !stdout.includes(interruptAt)) return
    interruptedAt = performance.now()
    child.kill('SIGINT')
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, stdout, stderr, endedAfterMs: interruptedAt === undefined ? undefined : performance.now() - interruptedAt }
}

/** What all names of the run begin with, as it says itself. */
function runName({ stdout }: Ended): string {
  const [name] = /sealbus-demo-[\da-f]{8}/.exec(stdout) ?? []
  if (name === undefined) throw new Error(`the demo names no topics or queues:\n${stdout}`)
  return name
}

function expectTrueStory({ code, stdout, stderr }: Ended): void {
  expect(stderr).toBe('')
  expect(stdout.match(/^ {2}✓ {2}/gm)).toHaveLength(7)
  expect(code).toBe(0)
}

function expectInterrupted({ code, stderr, endedAfterMs }: Ended): void {
  expect(stderr).toBe('')
  expect(code).toBe(130)
  expect(endedAfterMs).toBeLessThan(5_000)
}

/** The moments to interrupt at: the broker is being set up, services join, messages are under way. */
const MOMENTS = ['Orders are encrypted', '4  Billing, shipping and audit read', '5  Billing changes its key', '6  Rush hour']

describeWithKafka('sealbus demo on Kafka', ({ bootstrap }) => {
  const args = ['--broker', 'kafka', '--kafka-brokers', bootstrap.join(',')]

  const leftovers = async (run: string): Promise<string[]> => {
    const admin = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    try {
      const [topics, { groups }] = await Promise.all([admin.listTopics(), admin.listGroups()])
      return [...topics, ...groups.map(({ groupId }) => groupId)].filter((name) => name.startsWith(run))
    } finally {
      await admin.disconnect()
    }
  }

  it('tells its story, and leaves no topic and no group', async () => {
    const ended = await demo(args)
    expectTrueStory(ended)
    expect(ended.stdout).toContain('writes the changed copy')
    expect(await leftovers(runName(ended))).toEqual([])
  })

  it.each(MOMENTS)('interrupted at "%s", it ends in time, and leaves no topic and no group', async (moment) => {
    const ended = await demo(args, moment)
    expectInterrupted(ended)
    expect(await leftovers(runName(ended))).toEqual([])
  })
})

describeWithRabbit('sealbus demo on RabbitMQ', ({ url }) => {
  const args = ['--broker', 'rabbitmq', '--amqp-url', url]

  const exists = async (kind: 'checkExchange' | 'checkQueue', name: string): Promise<boolean> => {
    const connection = await connect(url)
    try {
      const channel = await connection.createChannel()
      // The broker closes the channel over what is not there.
      channel.on('error', () => {})
      return await channel[kind](name).then(() => true, (error: unknown) => {
        if (String(error).includes('404')) return false
        throw error
      })
    } finally {
      await connection.close()
    }
  }
  const leftovers = async (run: string): Promise<string[]> => {
    const queues = [...['billing', 'shipping', 'audit'].flatMap((service) => [`${run}-${service}`, `${run}-${service}-parked`]), `${run}-tap`]
    const found = await Promise.all(queues.map(async (queue) => ((await exists('checkQueue', queue)) ? [queue] : [])))
    return [...((await exists('checkExchange', run)) ? [run] : []), ...found.flat()]
  }

  it('tells its story, and leaves no exchange and no queue', async () => {
    const ended = await demo(args)
    expectTrueStory(ended)
    expect(ended.stdout).toContain('puts the changed one back')
    expect(await leftovers(runName(ended))).toEqual([])
  })

  it.each(MOMENTS)('interrupted at "%s", it ends in time, and leaves no exchange and no queue', async (moment) => {
    const ended = await demo(args, moment)
    expectInterrupted(ended)
    expect(await leftovers(runName(ended))).toEqual([])
  })
})
