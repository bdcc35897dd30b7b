import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

// Below the ephemeral range: while a killed broker is down, no outgoing connection (not even
// one that retries this very port and connects to itself) can take its port away.
const FIRST = 20_000
const END = 32_000

const taken = new Set<number>()

/** Ports of 127.0.0.1 that nobody listens on and that were not handed out before. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = randomInt(FIRST, END)
    if (taken.has(port) || !(await isFree(port))) continue
    taken.add(port)
    ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
