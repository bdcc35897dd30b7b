import { type Channels, createOpener, isSealbusError, type Opener, type SealbusErrorCode } from '@sealbus/core'
import type { DemoBroker, ReaderName } from './brokers/broker.ts'
import { createPrivateKeys, type PrivateKeys } from './private-keys.ts'

/** An order as a handler was given it. */
export interface ReadOrder {
  readonly payload: string
  /** The private key that opened it. */
  readonly kid: string | undefined
}

/** A service that reads orders, or tries to. */
export interface ReadingService {
  readonly name: ReaderName
  readonly keys: PrivateKeys
  /** What its handler was given, in order. */
  readonly read: readonly ReadOrder[]
  /** The code of each message that was not for it. */
  readonly refusals: readonly SealbusErrorCode[]
  /** Reads until the broker is closed, and needs its keys for as long. */
  start(broker: DemoBroker): Promise<void>
}

export async function createReadingService(name: ReaderName, { channels, notARecipient }: { channels: Channels; notARecipient: 'park' | 'skip' }): Promise<ReadingService> {
  const keys = await createPrivateKeys(`${name}-1`)
  const read: ReadOrder[] = []
  const refusals: SealbusErrorCode[] = []
  const opener = watched(createOpener({ name, identities: keys.identities, channels }), (code) => refusals.push(code))
  return {
    name,
    keys,
    read,
    refusals,
    start: (broker) =>
      broker.subscribe({ service: name, opener, notARecipient, onOrder: (payload, facts) => void read.push({ payload: payload.toString(), kid: facts?.kid }) }),
  }
}

/** The same opener. What it refuses as not for us is noted, because a skipped message leaves no other trace. */
function watched(opener: Opener, onRefused: (code: SealbusErrorCode) => void): Opener {
  return {
    ...opener,
    async open(bytes, options) {
      try {
        return await opener.open(bytes, options)
      } catch (error) {
        if (isSealbusError(error) && error.code === 'ERR_SEALBUS_NOT_A_RECIPIENT') onRefused(error.code)
        throw error
      }
    },
  }
}
