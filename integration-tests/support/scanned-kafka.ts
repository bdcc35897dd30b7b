import { startKafkaCluster, type KafkaCluster, type KafkaClusterOptions } from './kafka-cluster.ts'
import { startTcpProxy, type TcpProxy, type WireFinding } from './tcp-proxy.ts'

export interface ScannedKafka {
  readonly cluster: KafkaCluster
  /** One per node, in the order of the nodes. Everything that clients send or receive goes through them. */
  readonly proxies: readonly TcpProxy[]
  /** Canaries seen so far between clients and brokers. */
  found(): WireFinding[]
  /** SIGKILL to a node, by its number from 1: its clients find nobody. */
  kill(node: number): Promise<void>
  /** Starts it again, and waits until it serves. */
  restart(node: number): Promise<void>
  stop(): Promise<void>
}

/** A Kafka cluster that advertises proxies, so that even clients that follow its metadata are watched. */
export async function startScannedKafka(
  canaries: readonly Buffer[],
  { brokers = 1 }: Pick<KafkaClusterOptions, 'brokers'> = {},
): Promise<ScannedKafka> {
  const byAddress = new Map<string, TcpProxy>()
  const closeProxies = (): Promise<unknown> => Promise.all([...byAddress.values()].map((proxy) => proxy.close()))
  try {
    const cluster = await startKafkaCluster({
      brokers,
      async advertise(port) {
        const proxy = await startTcpProxy({ upstream: { host: '127.0.0.1', port }, scan: canaries })
        byAddress.set(`127.0.0.1:${proxy.port}`, proxy)
        return proxy.port
      },
    })
    const proxies = cluster.bootstrap.flatMap((address) => byAddress.get(address) ?? [])
    return {
      cluster,
      proxies,
      found: () => proxies.flatMap((proxy) => proxy.found),
      async kill(node) {
        await Promise.all([cluster.kill(node), proxies[node - 1]?.refuse()])
      },
      async restart(node) {
        await proxies[node - 1]?.accept()
        await cluster.restart(node)
      },
      async stop() {
        await cluster.stop()
        await closeProxies()
      },
    }
  } catch (error) {
    await closeProxies()
    throw error
  }
}
