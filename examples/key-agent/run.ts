/** Seals for keys that only the agent has, opens through it, and shows what happens when it is killed, and when it refuses. */
import { strict as assert } from 'node:assert'
import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createOpener, createSealer, createStaticDirectory, defineChannels, isSealbusError } from '@sealbus/core'
import { AgentClient } from './agent-client.ts'
import { remoteIdentities } from './remote-identities.ts'

const folder = mkdtempSync(join(tmpdir(), 'key-agent-'))
const [socketPath, keysPath] = [join(folder, 'agent.sock'), join(folder, 'billing.private.jwks.json')]

const startAgent = async (...forbidden: string[]): Promise<ChildProcess> => {
  const agent = spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, 'agent.ts'), socketPath, keysPath, ...forbidden], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(agent.stdout, 'data')
  return agent
}
const kill = async (agent: ChildProcess): Promise<void> => {
  agent.kill('SIGKILL')
  await once(agent, 'exit')
  rmSync(socketPath, { force: true })
}

let agent: ChildProcess | undefined
try {
  // Only the agent reads this file.
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(keysPath, JSON.stringify({ keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'billing-1' }] }), { mode: 0o600 })
  agent = await startAgent()

  const channels = defineChannels({ orders: { to: ['billing'] } })
  const directory = createStaticDirectory({ billing: { ...publicKey.export({ format: 'jwk' }), kid: 'billing-1' } })
  const sealer = createSealer({ directory, channels, session: { messages: 100 } })
  const opener = createOpener({ name: 'billing', identities: await remoteIdentities(new AgentClient(socketPath)), channels, unwrap: { timeoutMs: 2_000 } })
  const seal = (total: number): Buffer => sealer.sealSync(JSON.stringify({ total }), { channel: 'orders' }).bytes
  const open = async (bytes: Buffer): Promise<string> => {
    try {
      return (await opener.open(bytes, { channel: 'orders' })).plaintext.toString()
    } catch (error) {
      if (!isSealbusError(error)) throw error
      return `${error.code}${error.transient ? ' (transient: the message is held)' : ''}`
    }
  }
  const expectOpened = async (bytes: Buffer, expected: RegExp): Promise<void> => {
    const result = await open(bytes)
    console.log(`  ${result}`)
    assert.match(result, expected)
  }

  console.log('100 messages share a content key: the agent is asked once')
  const messages = Array.from({ length: 100 }, (_, total) => seal(total))
  for (const [total, bytes] of messages.entries()) assert.equal(await open(bytes), `{"total":${total}}`)

  console.log('the agent is killed: what has a known content key opens, the rest waits')
  const next = seal(100)
  await kill(agent)
  await expectOpened(messages[0] ?? next, /^\{"total":0\}$/)
  await expectOpened(next, /^ERR_SEALBUS_KEY_UNAVAILABLE/)

  console.log('it is back: the same message opens')
  agent = await startAgent()
  await expectOpened(next, /^\{"total":100\}$/)

  console.log('it refuses the key: not an outage, and not a broken message')
  await kill(agent)
  agent = await startAgent('billing-1')
  sealer.reset()
  await expectOpened(seal(101), /^ERR_SEALBUS_KEY_FORBIDDEN$/)
} finally {
  agent?.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
