import { startKafkaCluster, type KafkaCluster, type KafkaClusterOptions } from './kafka-cluster.ts'
import { startTcpProxy, type TcpProxy, type WireFinding } from './tcp-proxy.ts'

export interface ScannedKafka {
  readonly cluster: KafkaCluster
  /** One per node, in the order of the nodes. Everything that clients send or receive goes through them. */
  readonly proxies: readonly TcpProxy[]
  /** Canaries seen so far between clients and brokers. */
  found(): WireFinding[]
  stop(): Promise<void>
}

/** A Kafka cluster that advertises proxies, so that even clients that follow its metadata are watched. */
export async function startScannedKafka(
  canaries: readonly Buffer[],
  { brokers = 1 }: Pick<KafkaClusterOptions, 'brokers'> = {},
): Promise<ScannedKafka> {
  const proxies: TcpProxy[] = []
  const closeProxies = (): Promise<unknown> => Promise.all(proxies.map((proxy) => proxy.close()))
  try {
    const cluster = await startKafkaCluster({
      brokers,
      async advertise(port) {
        const proxy = await startTcpProxy({ upstream: { host: '127.0.0.1', port }, scan: canaries })
        proxies.push(proxy)
        return proxy.port
      },
    })
    return {
      cluster,
      proxies,
      found: () => proxies.flatMap((proxy) => proxy.found),
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
