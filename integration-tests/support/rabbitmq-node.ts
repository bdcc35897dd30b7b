import { execFile } from 'node:child_process'
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

export interface RabbitNode {
  readonly url: string
  /** Where the message store is. */
  readonly dataDir: string
  /** Processes that run now. */
  pids(): number[]
  /** SIGKILL. */
  kill(): Promise<void>
  /** Starts the node again, on its old port and data, and waits until it serves. */
  restart(): Promise<void>
  /** The server closes every connection (AMQP code 320), as an operator would. */
  closeConnections(): Promise<void>
  stop(): Promise<void>
}

export interface RabbitNodeOptions {
  /** How long a delivery may stay unacknowledged; RabbitMQ's own default is 30 minutes. */
  consumerTimeoutMs?: number
}

let started = 0

/** Why RabbitMQ cannot run on this machine, or undefined when it can. */
export function rabbitMissing(): string | undefined {
  const missing = ['rabbitmq-server', 'epmd'].filter((command) => findExecutable(command) === undefined)
  return missing.length === 0 ? undefined : `not on the PATH: ${missing.join(', ')}`
}

/** The system's RabbitMQ as a node of its own on 127.0.0.1, apart from any the machine runs. */
export async function startRabbitNode({ consumerTimeoutMs }: RabbitNodeOptions = {}): Promise<RabbitNode> {
  started += 1
  const name = `sealbus-${process.pid}-${started}@localhost`
  const [port = 0, distributionPort = 0, epmdPort = 0] = await freePorts(3)
  const url = `amqp://guest:guest@127.0.0.1:${port}`
  const directory = createOwnedDirectory('rabbitmq')
  const at = (path: string): string => join(directory.path, path)
  const dataDir = at('mnesia')

  mkdirSync(dataDir)
  writeFileSync(at('plugins'), '[].\n')
  writeFileSync(at('environment'), '')
  writeFileSync(at('rabbitmq.conf'), configuration(port, consumerTimeoutMs))

  // Only these variables: the machine's own RabbitMQ settings must not reach the node.
  const env = {
    PATH: process.env.PATH,
    LANG: 'C.UTF-8',
    HOME: directory.path, // the Erlang cookie
    ERL_EPMD_PORT: String(epmdPort),
    ERL_FLAGS: '-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}',
    RABBITMQ_NODENAME: name,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: dataDir,
    RABBITMQ_LOG_BASE: at('logs'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_ENABLED_PLUGINS_FILE: at('plugins'),
    RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
    RABBITMQ_CONF_ENV_FILE: at('environment'),
    // Makes the script become the Erlang VM rather than its parent, so that our child's pid is the broker's.
    RUNNING_UNDER_SYSTEMD: 'true',
    // Deliveries are checked for their timeout at every tick; RabbitMQ's default is a minute.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-rabbit channel_tick_interval 1000',
  }

  const run = (command: string, args: string[]): OwnedProcess =>
    startOwned(command, args, { cwd: directory.path, log: at('log'), env })

  // A port mapper of its own: the one RabbitMQ would start is a daemon that outlives it.
  const epmd = run('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'])
  let server: OwnedProcess | undefined

  async function start(): Promise<void> {
    server = run(script('rabbitmq-server'), [])
    await untilReady('RabbitMQ', server, async () => {
      const connection = await connect(url, { timeout: 5000 })
      await connection.close()
    })
  }

  async function stop(): Promise<void> {
    await Promise.all([server?.kill(), epmd.kill()])
    directory.remove()
  }

  try {
    await untilReady('epmd', epmd, () => expectListener(epmdPort))
    await start()
  } catch (error) {
    await stop()
    throw error
  }

  return {
    url,
    dataDir,
    pids: () => [server, epmd].flatMap((child) => (child?.running() === true ? [child.pid] : [])),
    async kill() {
      await server?.kill()
    },
    async restart() {
      await server?.kill()
      await start()
    },
    async closeConnections() {
      await promisify(execFile)(script('rabbitmqctl'), ['-n', name, 'close_all_connections', 'test'], { env })
    },
    stop,
  }
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

function configuration(port: number, consumerTimeoutMs: number | undefined): string {
  const lines = [`listeners.tcp.1 = 127.0.0.1:${port}`]
  if (consumerTimeoutMs !== undefined) lines.push(`consumer_timeout = ${consumerTimeoutMs}`)
  return `${lines.join('\n')}\n`
}

async function expectListener(port: number): Promise<void> {
  const socket = createConnection({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
  } finally {
    socket.destroy()
  }
}
