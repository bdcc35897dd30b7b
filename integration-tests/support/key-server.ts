import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Identity, UnwrapRequest } from '@sealbus/core'

/** A stand-in for a KMS: it holds a private key, and unwraps over HTTP. */
export interface KeyServer {
  readonly url: string
  readonly calls: number
  /** From now on, connections are refused. */
  goDown(): Promise<void>
  comeBack(): Promise<void>
}

export async function startKeyServer(identity: Identity): Promise<KeyServer> {
  let calls = 0
  const listen = async (port: number): Promise<Server> => {
    const made = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        calls++
        const { encryptedKey, epk, alg, enc, kid } = JSON.parse(Buffer.concat(chunks).toString()) as Omit<UnwrapRequest, 'encryptedKey'> & { encryptedKey: string }
        const key = identity.unwrap({ kid, alg, enc, ...(epk && { epk }), encryptedKey: Buffer.from(encryptedKey, 'base64url') })
        response.end(JSON.stringify({ key: Buffer.isBuffer(key) ? key.toString('base64url') : null }))
      })
    })
    await new Promise<void>((resolve) => made.listen(port, '127.0.0.1', resolve))
    return made
  }
  let server = await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    get calls() {
      return calls
    },
    async goDown(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
    async comeBack(): Promise<void> {
      server = await listen(port)
    },
  }
}

/** The same identity, for a process that has only its public half: every unwrap is a call. */
export function identityBehind(url: string, identity: Omit<Identity, 'unwrap'>): Identity {
  return {
    ...identity,
    async unwrap({ encryptedKey, signal, kid, alg, enc, epk }): Promise<Buffer | null> {
      const response = await fetch(url, { method: 'POST', body: JSON.stringify({ kid, alg, enc, epk, encryptedKey: encryptedKey.toString('base64url') }), ...(signal && { signal }) })
      const { key } = (await response.json()) as { key: string | null }
      return key === null ? null : Buffer.from(key, 'base64url')
    },
  }
}
