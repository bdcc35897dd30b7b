import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createTopics,
  describeWithKafka,
  describeWithLocalKafka,
  describeWithLocalRabbit,
  describeWithRabbit,
  uniqueName,
} from '../support/brokers.ts'
import { startKafkaCluster, type KafkaCluster } from '../support/kafka-cluster.ts'
import { startRabbitCluster, type RabbitCluster } from '../support/rabbitmq-cluster.ts'
import { startRabbitNode, type RabbitNode } from '../support/rabbitmq-node.ts'
import { startScannedKafka, type ScannedKafka } from '../support/scanned-kafka.ts'
import { findInFiles } from '../support/segment-scan.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const present = Buffer.from('canary-that-is-sent')
const absent = Buffer.from('canary-that-is-not-sent')

const client = (bootstrap: readonly string[]): Kafka => new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING })

async function produce(bootstrap: readonly string[], topic: string, value: Buffer): Promise<void> {
  const producer = client(bootstrap).producer()
  await producer.connect()
  try {
    await producer.send({ topic, messages: [{ value }] })
  } finally {
    await producer.disconnect()
  }
}

async function consumeOne(bootstrap: readonly string[], topic: string): Promise<Buffer | null> {
  const consumer = client(bootstrap).consumer({ groupId: uniqueName('readers') })
  await consumer.connect()
  try {
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    return await new Promise<Buffer | null>((resolve, reject) => {
      consumer.run({ eachMessage: async ({ message }) => resolve(message.value) }).catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
}

async function publish(url: string, queue: string, content: Buffer): Promise<void> {
  const connection = await connect(url)
  try {
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue(queue, { durable: true })
    channel.sendToQueue(queue, content, { persistent: true })
    await channel.waitForConfirms()
  } finally {
    await connection.close()
  }
}

async function getOne(url: string, queue: string): Promise<Buffer | undefined> {
  const connection = await connect(url)
  connection.on('error', () => {})
  try {
    const channel = await connection.createChannel()
    const message = await channel.get(queue, { noAck: true })
    return message === false ? undefined : message.content
  } finally {
    await connection.close()
  }
}

/** Lines of `ps`, with each process's environment, that mention `text`. */
function processesMentioning(text: string): string[] {
  const lines = execFileSync('ps', ['axeww'], { encoding: 'utf8', maxBuffer: 64 << 20 }).split('\n')
  return lines.filter((line) => line.includes(text))
}

/** Whether a process runs; one that has ended and only waits to be reaped by its new parent does not. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout !== '' && !stdout.startsWith('Z')
}

describeWithKafka('the shared Kafka', ({ bootstrap }) => {
  test('carries a record', async () => {
    const topic = uniqueName('orders')
    await createTopics(bootstrap, [{ topic, numPartitions: 2 }])
    await produce(bootstrap, topic, present)
    expect(await consumeOne(bootstrap, topic)).toEqual(present)
  })
})

describeWithRabbit('the shared RabbitMQ', ({ url }) => {
  test('carries a message', async () => {
    const queue = uniqueName('orders')
    await publish(url, queue, present)
    expect(await getOne(url, queue)).toEqual(present)
  })

  test.runIf(process.env.SEALBUS_BROKERS === 'docker')('is RabbitMQ 4 where it runs in a container', async () => {
    const connection = await connect(url)
    const { version } = connection.connection.serverProperties
    await connection.close()
    expect(version).toMatch(/^4\./)
  })
})

describeWithLocalKafka('a Kafka of its own', () => {
  let kafka: ScannedKafka
  const topic = uniqueName('orders')

  beforeAll(async () => {
    kafka = await startScannedKafka([present, absent])
  })
  afterAll(async () => kafka?.stop())

  test('shows its clients only through the proxy, which finds what they send and receive', async () => {
    const { bootstrap, dataDirs } = kafka.cluster
    const [proxy] = kafka.proxies
    await createTopics(bootstrap, [{ topic, numPartitions: 1 }])
    await produce(bootstrap, topic, present)
    expect(kafka.found()).toEqual([{ canary: present, direction: 'to-broker' }])
    expect(await consumeOne(bootstrap, topic)).toEqual(present)

    expect(bootstrap).toEqual([`127.0.0.1:${proxy?.port}`])
    expect(kafka.found()).toContainEqual({ canary: present, direction: 'to-client' })
    expect(kafka.found()).not.toContainEqual(expect.objectContaining({ canary: absent }))

    const findings = await findInFiles(dataDirs[0] ?? '', [present, absent])
    expect(findings).toEqual([{ canary: present, file: join(dataDirs[0] ?? '', `${topic}-0`, '00000000000000000000.log') }])
  })

  test('keeps its records when it is killed and restarted', async () => {
    const { bootstrap } = kafka.cluster
    const [pid] = kafka.cluster.pids()
    await kafka.cluster.kill(1)
    expect(kafka.cluster.pids()).toEqual([])
    await kafka.cluster.restart(1)
    expect(kafka.cluster.pids()).not.toContain(pid)
    expect(await consumeOne(bootstrap, topic)).toEqual(present)
  })

  test('leaves nothing behind', async () => {
    const directory = dirname(dirname(kafka.cluster.dataDirs[0] ?? ''))
    expect(processesMentioning(directory)).not.toEqual([])
    await kafka.stop()
    expect(processesMentioning(directory)).toEqual([])
    expect(existsSync(directory)).toBe(false)
  })
})

describeWithLocalKafka('a Kafka of three nodes', () => {
  let cluster: KafkaCluster

  beforeAll(async () => {
    cluster = await startKafkaCluster({ brokers: 3 })
  })
  afterAll(async () => cluster?.stop())

  test('serves on without the leader of a partition, which can come back', async () => {
    const topic = uniqueName('orders')
    await createTopics(cluster.bootstrap, [{ topic, numPartitions: 1 }])
    const admin = client(cluster.bootstrap).admin()
    await admin.connect()
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    await admin.disconnect()
    const partition = topics[0]?.partitions[0]
    expect(partition?.replicas).toHaveLength(3)
    const leader = partition?.leader ?? 0

    await cluster.kill(leader)
    expect(cluster.pids()).toHaveLength(2)
    await produce(cluster.bootstrap, topic, present)
    expect(await consumeOne(cluster.bootstrap, topic)).toEqual(present)

    await cluster.restart(leader)
    expect(cluster.pids()).toHaveLength(3)
  })
})

describeWithLocalRabbit('a RabbitMQ of its own', () => {
  let rabbit: RabbitNode
  const queue = uniqueName('orders')

  beforeAll(async () => {
    rabbit = await startRabbitNode({ consumerTimeoutMs: 2000 })
  })
  afterAll(async () => rabbit?.stop())

  test('stores and carries what the scanners find', async () => {
    const { hostname: host, port } = new URL(rabbit.url)
    const proxy = await startTcpProxy({ upstream: { host, port: Number(port) }, scan: [present, absent] })
    const url = `amqp://guest:guest@127.0.0.1:${proxy.port}`
    await publish(url, queue, present)
    expect(proxy.found).toEqual([{ canary: present, direction: 'to-broker' }])
    const findings = await findInFiles(rabbit.dataDir, [present, absent])
    expect(findings).not.toEqual([])
    expect(findings.filter(({ canary }) => canary.equals(absent))).toEqual([])

    expect(await getOne(url, queue)).toEqual(present)
    expect(proxy.found).toEqual([
      { canary: present, direction: 'to-broker' },
      { canary: present, direction: 'to-client' },
    ])
    await proxy.close()
  })

  test('closes its connections on demand', async () => {
    const connection = await connect(rabbit.url)
    connection.on('error', () => {})
    const closed = once(connection, 'close')
    await rabbit.closeConnections()
    expect(await closed).toEqual([expect.objectContaining({ code: 320 })])
  })

  test('takes a delivery back that its consumer does not acknowledge in time', async () => {
    const slow = uniqueName('slow')
    await publish(rabbit.url, slow, present)
    const connection = await connect(rabbit.url)
    const channel = await connection.createChannel()
    const failed = new Promise((resolve) => channel.once('error', resolve))
    await channel.consume(slow, () => {})
    expect(await failed).toMatchObject({ code: 406 })
    await connection.close()
    expect(await getOne(rabbit.url, slow)).toEqual(present)
  })

  test('keeps its messages when it is killed and restarted', async () => {
    await publish(rabbit.url, queue, present)
    const before = rabbit.pids()
    expect(before).toHaveLength(2)
    await rabbit.kill()
    await expect(connect(rabbit.url)).rejects.toThrow('ECONNREFUSED')
    await rabbit.restart()
    expect(rabbit.pids()[0]).not.toBe(before[0])
    expect(await getOne(rabbit.url, queue)).toEqual(present)
  })

  test('leaves nothing behind', async () => {
    const directory = dirname(rabbit.dataDir)
    expect(processesMentioning(directory).length).toBeGreaterThanOrEqual(2)
    await rabbit.stop()
    await expect.poll(() => processesMentioning(directory)).toEqual([])
    expect(existsSync(directory)).toBe(false)
  })
})

describeWithLocalRabbit('a RabbitMQ of three nodes', () => {
  let cluster: RabbitCluster
  const queue = uniqueName('orders')

  beforeAll(async () => {
    cluster = await startRabbitCluster({ nodes: 3 })
  })
  afterAll(async () => cluster?.stop())

  test('keeps a quorum queue on all of them, and serves on without one, which can come back', async () => {
    const [first = '', second = '', third = ''] = cluster.urls
    const connection = await connect(first)
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    for (let count = 0; count < 3; count++) channel.sendToQueue(queue, present, { persistent: true })
    await channel.waitForConfirms()
    await connection.close()
    for (const dir of cluster.dataDirs) await expect.poll(() => findInFiles(dir, [present])).not.toEqual([])

    await cluster.kill(1)
    expect(cluster.pids()).toHaveLength(3)
    // Until it has a new leader, the queue answers with an error.
    await expect.poll(() => getOne(second, queue), { timeout: 20_000 }).toEqual(present)

    await cluster.restart(1)
    expect(cluster.pids()).toHaveLength(4)
    expect(await getOne(first, queue)).toEqual(present)
    expect(await getOne(third, queue)).toEqual(present)
    expect(await getOne(third, queue)).toBeUndefined()
  })

  test('closes the connections to all nodes on demand', async () => {
    const connections = await Promise.all(cluster.urls.map((url) => connect(url)))
    const closed = connections.map((connection) => once(connection.on('error', () => {}), 'close'))
    await cluster.closeConnections()
    expect(await Promise.all(closed)).toEqual(cluster.urls.map(() => [expect.objectContaining({ code: 320 })]))
  })
})

describe('the scanners', () => {
  const long = Buffer.alloc(200_000, '.')
  const split = Buffer.concat([long.subarray(0, 65_530), present, long])

  test('find a canary across the chunks of a file', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sealbus-scan-'))
    try {
      writeFileSync(join(dir, 'segment'), split)
      expect(await findInFiles(dir, [present, absent])).toEqual([{ canary: present, file: join(dir, 'segment') }])
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  test('find a canary across the chunks of a connection, and change nothing', async () => {
    const echo = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
    await once(echo, 'listening')
    const { port } = echo.address() as AddressInfo
    const proxy = await startTcpProxy({ upstream: { host: '127.0.0.1', port }, scan: [present, absent] })

    const socket = connectTcp({ host: '127.0.0.1', port: proxy.port, noDelay: true })
    const received: Buffer[] = []
    socket.on('data', (chunk) => received.push(chunk))
    socket.write(present.subarray(0, 5))
    await expect.poll(() => proxy.bytes['to-client']).toBe(5)
    expect(proxy.found).toEqual([])
    socket.end(Buffer.concat([present.subarray(5), split]))
    await once(socket, 'end')

    const sent = Buffer.concat([present, split])
    expect(Buffer.concat(received).equals(sent)).toBe(true)
    expect(proxy.bytes).toEqual({ 'to-broker': sent.length, 'to-client': sent.length })
    expect(proxy.found).toHaveLength(2)
    expect(proxy.found).not.toContainEqual(expect.objectContaining({ canary: absent }))
    await proxy.close()
    echo.close()
  })

  test('can be slow, and cut what they watch', async () => {
    const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
    await once(echo, 'listening')
    const { port } = echo.address() as AddressInfo
    const proxy = await startTcpProxy({ upstream: { host: '127.0.0.1', port } })
    proxy.setDelay(100)

    const socket = connectTcp({ host: '127.0.0.1', port: proxy.port })
    const start = performance.now()
    socket.write('slow')
    await once(socket, 'data')
    expect(performance.now() - start).toBeGreaterThan(190)

    const closed = new Promise((resolve) => socket.once('error', resolve))
    proxy.cutConnections()
    expect(await closed).toMatchObject({ code: 'ECONNRESET' })
    await proxy.close()
    echo.close()
  })
})

describe('the processes of a test', () => {
  const owner = `
    import { startOwned, createOwnedDirectory } from '${new URL('../support/owned-processes.ts', import.meta.url).href}'
    const { path } = createOwnedDirectory('owner')
    const child = startOwned('sleep', ['600'], { cwd: path, log: path + '/log' })
    console.log(JSON.stringify({ pid: child.pid, path }))
  `

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'exit'])('end with it (%s)', async (end) => {
    const code = end === 'exit' ? `${owner}\nprocess.exit()` : owner
    const test = spawn(process.execPath, ['--input-type=module', '--eval', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(test, 'exit')
    const [line] = (await once(test.stdout, 'data')) as [Buffer]
    const { pid, path } = JSON.parse(line.toString()) as { pid: number; path: string }
    if (end !== 'exit') test.kill(end as NodeJS.Signals)
    expect(await exited).toEqual(end === 'exit' ? [0, null] : [null, end])
    await expect.poll(() => isAlive(pid)).toBe(false)
    expect(existsSync(path)).toBe(false)
  })

  test.runIf(process.platform === 'linux')('end with it even when it is killed', async () => {
    const test = spawn(process.execPath, ['--input-type=module', '--eval', owner], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(test.stdout, 'data')) as [Buffer]
    const { pid, path } = JSON.parse(line.toString()) as { pid: number; path: string }
    test.kill('SIGKILL')
    // A machine that builds images meanwhile has no time for whoever cleans up.
    await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false)
    await expect.poll(() => existsSync(path), { timeout: 20_000 }).toBe(false)
  })
})

describe('a machine without brokers', () => {
  const vitest = join(dirname(fileURLToPath(import.meta.resolve('vitest/package.json'))), 'vitest.mjs')

  /** Runs the suite of the shared brokers, with nothing on the PATH. */
  function runThere(settings: Record<string, string>): Promise<{ code: number | null; output: string }> {
    const args = [vitest, 'run', 'test/brokers.test.ts', '-t', 'the shared', '--reporter=verbose', '--no-color']
    const env = { PATH: '/nowhere', HOME: process.env.HOME, SEALBUS_BROKERS: 'local', ...settings }
    return new Promise((resolve) => {
      const run = execFile(process.execPath, args, { cwd: root, env }, (_, stdout, stderr) => {
        resolve({ code: run.exitCode, output: stdout + stderr })
      })
    })
  }

  test('says what it skips, and why', async () => {
    const { code, output } = await runThere({})
    expect(code).toBe(0)
    expect(output).toContain('SKIPPED kafka suites: local: not on the PATH: java')
    expect(output).toContain('SKIPPED rabbitmq suites: local: not on the PATH: rabbitmq-server')
    expect(output).toContain('the shared Kafka (SKIPPED: local: not on the PATH: java')
    expect(output).not.toContain('carries a record')
  })

  test('fails where brokers are required', async () => {
    const { code, output } = await runThere({ SEALBUS_REQUIRE_BROKERS: '1' })
    expect(code).toBe(1)
    expect(output).toContain('kafka suites: local: not on the PATH: java')
    expect(output).toContain('rabbitmq suites: local: not on the PATH: rabbitmq-server')
  })

  test('does not take an unknown provider for none', async () => {
    const { code, output } = await runThere({ SEALBUS_BROKERS: 'elsewhere' })
    expect(code).toBe(1)
    expect(output).toContain('SEALBUS_BROKERS=elsewhere is none of: env, docker, local')
  })
})
