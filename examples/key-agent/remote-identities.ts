import { type Identity, type IdentityStore, SealbusError, type UnwrapRequest } from '@sealbus/core'
import type { AgentClient } from './agent-client.ts'

/** Identities whose private halves are with the agent: what a service gives to `createOpener`. */
export async function remoteIdentities(agent: AgentClient): Promise<IdentityStore> {
  const list = async (): Promise<readonly Identity[]> => ((await agent.ask({ ask: 'list' })).identities ?? []).map((identity) => ({ ...identity, unwrap }))

  const unwrap = async ({ kid, alg, enc, epk, encryptedKey, apu, apv, signal }: UnwrapRequest): Promise<Buffer | null> => {
    const request = {
      kid,
      alg,
      enc,
      encryptedKey: encryptedKey.toString('base64url'),
      ...(epk && { epk }),
      ...(apu && { apu: apu.toString('base64url') }),
      ...(apv && { apv: apv.toString('base64url') }),
    }
    const answer = await agent.ask({ ask: 'unwrap', request }, signal)
    // Anything else that is thrown means that the agent cannot answer now: the message waits.
    if (answer.forbidden) throw new SealbusError('ERR_SEALBUS_KEY_FORBIDDEN', 'the key agent refuses')
    return typeof answer.contentKey === 'string' ? Buffer.from(answer.contentKey, 'base64url') : null
  }

  let identities = await list()
  return {
    find: (kid) => identities.find((identity) => identity.kid === kid || identity.thumbprint === kid),
    list: () => identities,
    async refresh(): Promise<void> {
      identities = await list()
    },
    close: () => agent.close(),
  }
}
