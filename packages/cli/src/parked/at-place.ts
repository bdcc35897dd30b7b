import { isSealbusError } from '@sealbus/core'
import type { Command } from 'commander'
import { EXIT } from '../exit-codes.ts'
import { type Interruption, listenForInterruption } from '../interruption.ts'
import { printable } from '../printable.ts'
import { Refusal } from '../refusal.ts'
import { BrokerUnreachableError } from '../unreachable.ts'
import { openPlace, type ParkedPlace, type PlaceOptions } from './place.ts'

/** Does something at a parking place, and sets the exit code: its own, or that of a signal, after which it is ended in order. */
export async function atPlace(options: PlaceOptions, command: Command, act: (place: ParkedPlace, interruption: Interruption) => Promise<number>): Promise<void> {
  const interruption = listenForInterruption()
  let place: ParkedPlace | undefined
  try {
    place = await interruption.orInterrupted(openPlace(options, command))
    const exitCode = await act(place, interruption)
    process.exitCode = interruption.exitCode ?? exitCode
  } catch (error) {
    if (interruption.exitCode === undefined) throw refusalOf(error)
    process.exitCode = interruption.exitCode
  } finally {
    await place?.close().catch(() => {})
    interruption.dispose()
  }
}

/** What a client says goes to the user in one line: a topic or queue that is not there, or no rights. */
function refusalOf(error: unknown): unknown {
  if (error instanceof BrokerUnreachableError) return new Refusal(error.message, EXIT.unreachable)
  if (error instanceof Refusal || isSealbusError(error) || !(error instanceof Error)) return error
  return new Refusal(printable(error.message.split('\n', 1)[0] ?? error.name))
}
