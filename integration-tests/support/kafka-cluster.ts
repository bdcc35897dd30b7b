import './kafkajs-noise.ts'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
import { freePorts } from './free-ports.ts'
import { kafkaClassPath } from './kafka-distribution.ts'
import { createOwnedDirectory, startOwned, type OwnedProcess } from './owned-processes.ts'
import { untilReady } from './readiness.ts'

export interface KafkaCluster {
  /** What clients connect to: one `host:port` per node. */
  readonly bootstrap: string[]
  /** Where the segment files are: one directory per node. */
  readonly dataDirs: string[]
  /** Processes that run now. */
  pids(): number[]
  /** SIGKILL. Nodes go by their Kafka node id, from 1, as in the leaders of topic metadata. */
  kill(node: number): Promise<void>
  /** Starts a node again, on its old ports and data, and waits until it serves. */
  restart(node: number): Promise<void>
  stop(): Promise<void>
}

export interface KafkaClusterOptions {
  brokers?: 1 | 3
  /** Where clients shall find the node that listens on `port`, such as a proxy in front of it. */
  advertise?: (port: number) => Promise<number>
}

interface Node {
  id: number
  port: number
  internalPort: number
  controllerPort: number
  address: string
  dir: string
  dataDir: string
  process?: OwnedProcess
}

// Any 16 bytes: the clusters share nothing that could mix them up.
const CLUSTER_ID = Buffer.from('sealbus-testing!').toString('base64url')
const JVM_FLAGS = ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData']

/** Apache Kafka (KRaft) as processes of its own on 127.0.0.1, one per broker. */
export async function startKafkaCluster(options: KafkaClusterOptions = {}): Promise<KafkaCluster> {
  const { brokers = 1, advertise = (port) => Promise.resolve(port) } = options
  const classPath = await kafkaClassPath()
  const directory = createOwnedDirectory('kafka')
  const nodes = await Promise.all(
    Array.from({ length: brokers }, async (_, index): Promise<Node> => {
      const id = index + 1
      const [port = 0, internalPort = 0, controllerPort = 0] = await freePorts(3)
      const dir = join(directory.path, `node-${id}`)
      const address = `127.0.0.1:${await advertise(port)}`
      return { id, port, internalPort, controllerPort, address, dir, dataDir: join(dir, 'segments') }
    }),
  )

  const java = (node: Node, main: string, ...args: string[]): OwnedProcess =>
    startOwned('java', [...JVM_FLAGS, '-cp', classPath, main, ...args], { cwd: node.dir, log: join(node.dir, 'log') })

  async function format(node: Node): Promise<void> {
    mkdirSync(node.dir)
    writeFileSync(join(node.dir, 'server.properties'), properties(node, nodes))
    const tool = java(node, 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', 'server.properties')
    if ((await tool.exited) !== 0) throw new Error(`Kafka could not format its storage:\n${tool.lastWords()}`)
  }

  async function start(node: Node): Promise<void> {
    const server = java(node, 'kafka.Kafka', join(node.dir, 'server.properties'))
    node.process = server
    await untilReady(`Kafka node ${node.id}`, server, () => expectMember(node))
  }

  async function stop(): Promise<void> {
    await Promise.all(nodes.map(async (node) => node.process?.kill()))
    directory.remove()
  }

  try {
    await Promise.all(nodes.map(format))
    await Promise.all(nodes.map(start))
  } catch (error) {
    await stop()
    throw error
  }

  const named = (id: number): Node => {
    const node = nodes.find((node) => node.id === id)
    if (node === undefined) throw new RangeError(`No Kafka node ${id}`)
    return node
  }

  return {
    bootstrap: nodes.map((node) => node.address),
    dataDirs: nodes.map((node) => node.dataDir),
    pids: () => nodes.flatMap((node) => (node.process?.running() === true ? [node.process.pid] : [])),
    async kill(id) {
      await named(id).process?.kill()
    },
    async restart(id) {
      const node = named(id)
      await node.process?.kill()
      await start(node)
    },
    stop,
  }
}

/** Asks the node itself, and succeeds once the cluster counts it among its live brokers. */
async function expectMember(node: Node): Promise<void> {
  const kafka = new Kafka({
    brokers: [node.address],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 2000,
    requestTimeout: 5000,
    retry: { retries: 0 },
  })
  const admin = kafka.admin()
  try {
    await admin.connect()
    const { brokers } = await admin.describeCluster()
    if (!brokers.some(({ nodeId }) => nodeId === node.id)) throw new Error(`The cluster does not list node ${node.id} yet`)
  } finally {
    await admin.disconnect()
  }
}

function properties(node: Node, nodes: readonly Node[]): string {
  const replicas = nodes.length
  const inSync = Math.max(1, replicas - 1)
  const settings: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': nodes.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(','),
    // Replication has a listener of its own, so that an advertised proxy carries the clients only.
    listeners: `CLIENT://127.0.0.1:${node.port},INTERNAL://127.0.0.1:${node.internalPort},CONTROLLER://127.0.0.1:${node.controllerPort}`,
    'advertised.listeners': `CLIENT://${node.address},INTERNAL://127.0.0.1:${node.internalPort}`,
    'inter.broker.listener.name': 'INTERNAL',
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': node.dataDir,
    'num.partitions': 3,
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': 0,
    // A killed broker may come back, and its partitions move, after this long.
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    'log.cleaner.dedupe.buffer.size': 8_388_608,
    'auto.create.topics.enable': true,
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
