/**
 * Holds a service's private keys, and unwraps content keys for whoever may connect to its Unix socket:
 * `node agent.ts SOCKET PRIVATE-JWKS [FORBIDDEN-KID …]`. The keys never leave this process.
 */
import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { type Identity, loadIdentities } from '@sealbus/core'
import { type Answer, type Question, questionOf, toLine } from './protocol.ts'

const [socketPath = '', keysPath = '', ...forbidden] = process.argv.slice(2)
const identities = await loadIdentities(keysPath)

async function answer(question: Question): Promise<Answer> {
  const { id } = question
  if (question.ask === 'list') return { id, identities: identities.list().map(({ kid, thumbprint, alg, publicJwk, state }) => ({ kid, thumbprint, alg, publicJwk, state })) }
  const identity: Identity | undefined = identities.list().find(({ kid }) => kid === question.request.kid)
  if (!identity || forbidden.includes(identity.kid)) return { id, forbidden: true }
  const { encryptedKey, apu, apv, ...request } = question.request
  const contentKey = await identity.unwrap({
    ...request,
    encryptedKey: Buffer.from(encryptedKey, 'base64url'),
    ...(apu !== undefined && { apu: Buffer.from(apu, 'base64url') }),
    ...(apv !== undefined && { apv: Buffer.from(apv, 'base64url') }),
  })
  return { id, contentKey: contentKey?.toString('base64url') ?? null }
}

const server = createServer((socket: Socket) => {
  const hangUp = (): unknown => socket.destroy()
  createInterface(socket).on('error', hangUp).on('line', (line) => {
    answer(questionOf(line)).then((reply) => socket.write(toLine(reply)), hangUp)
  })
})
server.listen(socketPath, () => console.log('listening'))
