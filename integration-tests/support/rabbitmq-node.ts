import { type RabbitClusterOptions, startRabbitCluster } from './rabbitmq-cluster.ts'

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

/** The system's RabbitMQ as one node of its own; see `startRabbitCluster`. */
export async function startRabbitNode(options: Omit<RabbitClusterOptions, 'nodes'> = {}): Promise<RabbitNode> {
  const cluster = await startRabbitCluster({ ...options, nodes: 1 })
  const [url = ''] = cluster.urls
  const [dataDir = ''] = cluster.dataDirs
  return {
    url,
    dataDir,
    pids: () => cluster.pids(),
    kill: () => cluster.kill(1),
    restart: () => cluster.restart(1),
    closeConnections: () => cluster.closeConnections(),
    stop: () => cluster.stop(),
  }
}
