import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { connect } from 'amqplib'
import { findExecutable, isExecutable } from './executables.ts'
import { freePorts } from './free-ports.ts'
import { createOwnedDirectory, startOwned, type OwnedProcess } from './owned-processes.ts'
import { untilReady } from './readiness.ts'

export interface RabbitCluster {
  /** Where clients connect: one per node. */
  readonly urls: string[]
  /** Where the message stores are: one directory per node. */
  readonly dataDirs: string[]
  /** Processes that run now. */
  pids(): number[]
  /** SIGKILL. Nodes go by their number, from 1. */
  kill(node: number): Promise<void>
  /** Starts a node again, on its old ports and data, and waits until it serves as a member of the cluster. */
  restart(node: number): Promise<void>
  /** Whether every quorum queue could go on without the node. */
  canSpare(node: number): Promise<boolean>
  /** The cluster closes every connection of its clients (AMQP code 320), as an operator would have it. */
  closeConnections(): Promise<void>
  stop(): Promise<void>
}

export interface RabbitClusterOptions {
  nodes?: 1 | 3
  /** How long a delivery may stay unacknowledged; RabbitMQ's own default is 30 minutes. */
  consumerTimeoutMs?: number
}

interface Node {
  name: string
  port: number
  url: string
  dir: string
  dataDir: string
  env: NodeJS.ProcessEnv
  process?: OwnedProcess
}

/** An exchange that only the members of a cluster know. */
const MEMBERS = 'sealbus.members'

let started = 0

/** Why RabbitMQ cannot run on this machine, or undefined when it can. */
export function rabbitMissing(): string | undefined {
  const missing = ['rabbitmq-server', 'epmd'].filter((command) => findExecutable(command) === undefined)
  return missing.length === 0 ? undefined : `not on the PATH: ${missing.join(', ')}`
}

/** The system's RabbitMQ as processes of its own on 127.0.0.1, one per node, apart from any the machine runs. */
export async function startRabbitCluster(options: RabbitClusterOptions = {}): Promise<RabbitCluster> {
  const { nodes: count = 1, consumerTimeoutMs } = options
  started += 1
  const directory = createOwnedDirectory('rabbitmq')
  // The nodes know each other by it. Nobody else does, and only its owner may read it: Erlang insists.
  writeFileSync(join(directory.path, '.erlang.cookie'), randomBytes(16).toString('hex'), { mode: 0o400 })
  const [epmdPort = 0, ...ports] = await freePorts(1 + 2 * count)
  const nodes = Array.from({ length: count }, (_, index): Node => {
    const [port = 0, distributionPort = 0] = ports.slice(2 * index)
    const name = `sealbus-${process.pid}-${started}-${index + 1}@localhost`
    const dir = join(directory.path, `node-${index + 1}`)
    const dataDir = join(dir, 'mnesia')
    const env = environment({ home: directory.path, dir, dataDir, name, port, distributionPort, epmdPort })
    return { name, port, url: `amqp://guest:guest@127.0.0.1:${port}`, dir, dataDir, env }
  })

  for (const { dir, dataDir, port } of nodes) {
    mkdirSync(dataDir, { recursive: true })
    writeFileSync(join(dir, 'plugins'), '[].\n')
    writeFileSync(join(dir, 'environment'), '')
    writeFileSync(join(dir, 'rabbitmq.conf'), configuration(port, nodes[0], consumerTimeoutMs))
  }

  // A port mapper of its own: the one RabbitMQ would start is a daemon that outlives it.
  const epmd = startOwned('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'], {
    cwd: directory.path,
    log: join(directory.path, 'epmd.log'),
    env: { PATH: process.env.PATH, HOME: directory.path },
  })
  const [first = unknown(1), ...others] = nodes
  let founded = false

  async function start(node: Node): Promise<void> {
    const server = startOwned(script('rabbitmq-server'), [], { cwd: node.dir, log: join(node.dir, 'log'), env: node.env })
    node.process = server
    await untilReady(`RabbitMQ node ${node.name}`, server, async () => {
      const connection = await connect(node.url, { timeout: 5000 })
      const channel = await connection.createChannel()
      channel.on('error', () => {})
      try {
        // A node that did not find the first would be on its own, and not have its exchange.
        await (founded ? channel.checkExchange(MEMBERS) : channel.assertExchange(MEMBERS, 'fanout'))
        founded = true
      } finally {
        await connection.close()
      }
    })
  }

  async function stop(): Promise<void> {
    await Promise.all([...nodes.map(async (node) => node.process?.kill()), epmd.kill()])
    directory.remove()
  }

  try {
    await untilReady('epmd', epmd, () => expectListener(epmdPort))
    // The others join it at their first start.
    await start(first)
    await Promise.all(others.map(start))
  } catch (error) {
    await stop()
    throw error
  }

  const numbered = (number: number): Node => nodes[number - 1] ?? unknown(number)

  return {
    urls: nodes.map(({ url }) => url),
    dataDirs: nodes.map(({ dataDir }) => dataDir),
    pids: () => [...nodes.map((node) => node.process), epmd].flatMap((child) => (child?.running() === true ? [child.pid] : [])),
    async kill(number) {
      await numbered(number).process?.kill()
    },
    async restart(number) {
      const node = numbered(number)
      await node.process?.kill()
      await start(node)
    },
    async canSpare(number) {
      return run(numbered(number), 'rabbitmq-queues', 'check_if_node_is_quorum_critical').then(
        () => true,
        () => false,
      )
    },
    async closeConnections() {
      await run(nodes.find((node) => node.process?.running() === true) ?? first, 'rabbitmqctl', 'close_all_connections', 'test')
    },
    stop,
  }
}

const run = ({ name, env, dir }: Node, command: string, ...args: string[]): Promise<unknown> => promisify(execFile)(script(command), ['-n', name, ...args], { env, cwd: dir })

function unknown(number: number): never {
  throw new RangeError(`No RabbitMQ node ${number}`)
}

interface Places {
  home: string
  dir: string
  dataDir: string
  name: string
  port: number
  distributionPort: number
  epmdPort: number
}

/** Only these variables: the machine's own RabbitMQ settings must not reach the node. */
function environment({ home, dir, dataDir, name, port, distributionPort, epmdPort }: Places): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    LANG: 'C.UTF-8',
    HOME: home, // the Erlang cookie
    ERL_EPMD_PORT: String(epmdPort),
    ERL_FLAGS: '-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}',
    RABBITMQ_NODENAME: name,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: dataDir,
    RABBITMQ_LOG_BASE: join(dir, 'logs'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'plugins'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: join(dir, 'environment'),
    // Makes the script become the Erlang VM rather than its parent, so that our child's pid is the broker's.
    RUNNING_UNDER_SYSTEMD: 'true',
    // Deliveries are checked for their timeout at every tick; RabbitMQ's default is a minute.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-rabbit channel_tick_interval 1000',
  }
}

function configuration(port: number, first: Node | undefined, consumerTimeoutMs: number | undefined): string {
  const lines = [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    // Whom a node joins at its first start; the first one itself waits for nobody.
    'cluster_formation.peer_discovery_backend = classic_config',
    `cluster_formation.classic_config.nodes.1 = ${first?.name ?? ''}`,
  ]
  if (consumerTimeoutMs !== undefined) lines.push(`consumer_timeout = ${consumerTimeoutMs}`)
  return `${lines.join('\n')}\n`
}

/**
 * Debian's commands switch to the user rabbitmq, through a parent that a kill would hit instead
 * of the broker; the scripts behind them run as whoever calls.
 */
function script(command: string): string {
  const found = findExecutable(command) ?? command
  const plain = join(dirname(found), '..', 'lib', 'rabbitmq', 'bin', command)
  return isExecutable(plain) ? plain : found
}

async function expectListener(port: number): Promise<void> {
  const socket = createConnection({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
  } finally {
    socket.destroy()
  }
}
