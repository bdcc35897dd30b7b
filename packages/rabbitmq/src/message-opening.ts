import { isSealbusError, type OpenedMessage, type Opener, SealbusError } from '@sealbus/core'
import { mayOpenLater } from '@sealbus/core/adapter'
import type { AmqpMessage } from './client-shape.ts'
import { correspondenceOf } from './correspondence.ts'
import { toOpenedMessage } from './properties.ts'

/** What became of a message: a view for the handler, the reason why there is none, or neither yet. */
export type Opening = { readonly view: AmqpMessage } | { readonly error: SealbusError }

/** Opens what one queue delivers. */
export interface MessageOpening {
  /** Without waiting; undefined when it takes `open()` to know. Each message once: plain ones are counted here. */
  openNow(message: AmqpMessage): Opening | undefined
  open(message: AmqpMessage, signal: AbortSignal): Promise<Opening>
}

export function createMessageOpening(opener: Opener, channel: string, queue: string): MessageOpening {
  const correspondence = correspondenceOf(opener.channels)
  const optionsFor = ({ properties }: AmqpMessage): { channel: string; headers: Readonly<Record<string, unknown>> } => ({ channel, headers: properties.headers ?? {} })
  const view = (message: AmqpMessage, opened: OpenedMessage): Opening => {
    const expected = correspondence.expected(queue, message)
    // A reply that names none comes from a service that does not remember its requests.
    if (expected && opened.inReplyTo !== undefined && !expected.has(opened.inReplyTo)) {
      return { error: new SealbusError('ERR_SEALBUS_CONTEXT_MISMATCH', 'this reply answers another request than its correlation id says') }
    }
    correspondence.asked(message, opened.id)
    return { view: toOpenedMessage(message, opened) }
  }
  return {
    openNow(message): Opening | undefined {
      try {
        const { contentType } = message.properties
        if (opener.isPlain(message.content, { channel, ...(typeof contentType === 'string' && { contentType }) })) return { view: message }
        return view(message, opener.openSync(message.content, optionsFor(message)))
      } catch (error) {
        const failure = typed(error)
        return mayOpenLater(failure) ? undefined : { error: failure }
      }
    },
    async open(message, signal): Promise<Opening> {
      try {
        return view(message, await opener.open(message.content, { ...optionsFor(message), signal }))
      } catch (error) {
        return { error: typed(error) }
      }
    },
  }
}

/** An opener rejects with Sealbus errors only; anything else is a broken one, and its text may hold anything. */
function typed(error: unknown): SealbusError {
  return isSealbusError(error) ? error : new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'the opener failed with an error that is none of Sealbus')
}
