import { channel, type Channel as PlainChannel, tracingChannel, type TracingChannel } from 'node:diagnostics_channel'
import { isSealbusError, type SealbusError } from './errors.ts'

/** Facts that every trace may end with: no content, no key, no error of another library. */
export interface Trace {
  /** Why it failed. Undefined for a success, and for an error that is none of ours (a caller's own function threw). */
  error?: SealbusError
  outcome?: 'done' | 'failed'
}

/** Published on `tracing:sealbus:seal:*` for each message sealed. */
export interface SealTrace extends Trace {
  readonly channel: string
  /** Bytes before sealing, and after. */
  payloadBytes?: number
  envelopeBytes?: number
  id?: string
}

/** Published on `tracing:sealbus:open:*` for each message opened, or not. */
export interface OpenTrace extends Trace {
  readonly channel: string
  readonly envelopeBytes: number
  payloadBytes?: number
  id?: string | undefined
  /** The key of ours that opened it. */
  kid?: string
}

/** Published on `tracing:sealbus:keys:*` for work with asymmetric keys, and for fetches of recipients' keys. */
export interface KeysTrace extends Trace {
  /** `wrap`: a content key begins for a channel. `unwrap`: an identity is asked. `fetch`: a recipient's keys are read. */
  readonly operation: 'wrap' | 'unwrap' | 'fetch'
  /** The channel, the kid, or the recipient's name. */
  readonly name: string
}

/** Subscribe with `diagnostics_channel.tracingChannel('sealbus:seal')`, and so on. */
export const TRACES: {
  readonly seal: TracingChannel<unknown, SealTrace>
  readonly open: TracingChannel<unknown, OpenTrace>
  readonly keys: TracingChannel<unknown, KeysTrace>
} = {
  seal: tracingChannel('sealbus:seal'),
  open: tracingChannel('sealbus:open'),
  keys: tracingChannel('sealbus:keys'),
}

/** What happens to recipients' keys, as `onEvent` of a directory has it: `diagnostics_channel.subscribe('sealbus:directory', …)`. */
export const DIRECTORY_EVENTS: PlainChannel = channel('sealbus:directory')

type Channel<Context extends Trace> = TracingChannel<unknown, Context>

/**
 * Runs a step between `start` and `end`, and for a promise `asyncStart` and `asyncEnd` when it is settled. The channel's own
 * traceSync() would publish the result, which is plaintext. To be called only when somebody listens: `hasSubscribers` is
 * all that it costs otherwise.
 */
export function traced<Context extends Trace, Value>(channel: Channel<Context>, context: Context, step: () => Value, facts?: (value: Awaited<Value>) => Partial<Context>): Value {
  const succeed = (value: Awaited<Value>): void => void Object.assign(context, { outcome: 'done' }, facts?.(value))
  return channel.start.runStores(context, () => {
    try {
      const value = step()
      if (value instanceof Promise) return follow(channel, context, value as Promise<Awaited<Value>>, succeed) as Value
      succeed(value as Awaited<Value>)
      return value
    } catch (error) {
      fail(channel, context, error)
      throw error
    } finally {
      channel.end.publish(context)
    }
  })
}

async function follow<Context extends Trace, Value>(channel: Channel<Context>, context: Context, promise: Promise<Value>, succeed: (value: Value) => void): Promise<Value> {
  try {
    const value = await promise
    succeed(value)
    return value
  } catch (error) {
    fail(channel, context, error)
    throw error
  } finally {
    channel.asyncStart.publish(context)
    channel.asyncEnd.publish(context)
  }
}

function fail<Context extends Trace>({ error: channel }: Channel<Context>, context: Context, error: unknown): void {
  context.outcome = 'failed'
  if (isSealbusError(error)) context.error = error
  channel.publish(context)
}
