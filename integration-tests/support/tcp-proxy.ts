import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { CanarySearch } from './canary-search.ts'
import { freePorts } from './free-ports.ts'

export type Direction = 'to-broker' | 'to-client'

export interface WireFinding {
  canary: Buffer
  direction: Direction
}

export interface TcpProxy {
  readonly port: number
  /** Canaries seen so far, once per connection and direction. */
  readonly found: readonly WireFinding[]
  /** Bytes carried so far. */
  readonly bytes: Readonly<Record<Direction, number>>
  /** Holds every chunk back this long, in both directions; 0 ends it. */
  setDelay(ms: number): void
  /** Breaks all connections that are open now; new ones are accepted. */
  cutConnections(): void
  /** Refuses connections from now on, as where nobody listens, and breaks those that are open. */
  refuse(): Promise<void>
  /** Listens again, on the same port. */
  accept(): Promise<void>
  close(): Promise<void>
}

interface Address {
  host: string
  port: number
}

export interface TcpProxyOptions {
  /** Where connections lead; a function is asked for each, as a load balancer would be. */
  upstream: Address | (() => Address)
  /**
   * What to look for. Compressed data hides a canary, and so does a frame border in its midst:
   * AMQP cuts bodies at `frame_max`, so let controls be short or repeat their canary.
   */
  scan?: readonly Buffer[]
}

/** A TCP proxy on 127.0.0.1 that watches what passes. It connects on demand: the upstream may start later. */
export async function startTcpProxy({ upstream, scan = [] }: TcpProxyOptions): Promise<TcpProxy> {
  const found: WireFinding[] = []
  const bytes = { 'to-broker': 0, 'to-client': 0 }
  const open = new Set<Socket>()
  let delay = 0

  async function carry(from: Socket, to: Socket, direction: Direction): Promise<void> {
    const search = new CanarySearch(scan)
    await pipeline(
      from,
      async function* watch(chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          bytes[direction] += chunk.length
          for (const canary of search.push(chunk)) found.push({ canary, direction })
          if (delay > 0) await sleep(delay)
          yield chunk
        }
      },
      to,
    )
  }

  async function join(client: Socket): Promise<void> {
    const broker = createConnection({ ...(typeof upstream === 'function' ? upstream() : upstream), allowHalfOpen: true, noDelay: true })
    const both = [client, broker]
    for (const socket of both) open.add(socket)
    try {
      await Promise.all([carry(client, broker, 'to-broker'), carry(broker, client, 'to-client')])
    } catch {
      // One side broke, and so does the other: that is what a connection is.
    } finally {
      for (const socket of both) {
        socket.destroy()
        open.delete(socket)
      }
    }
  }

  const cutConnections = (): void => {
    for (const socket of open) socket.resetAndDestroy()
  }

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => void join(client))
  const [port = 0] = await freePorts(1)
  const accept = async (): Promise<void> => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const refuse = async (): Promise<void> => {
    const closed = once(server, 'close')
    server.close()
    cutConnections()
    await closed
  }
  await accept()

  return {
    port,
    found,
    bytes,
    setDelay(ms) {
      delay = ms
    },
    cutConnections,
    refuse,
    accept,
    async close() {
      if (server.listening) await refuse()
    },
  }
}
