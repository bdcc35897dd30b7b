import { ChannelFailure, clientError } from './failure.ts'
import type { Wire } from './wire.ts'

/** The calls of a channel that the broker answers: one at a time, as amqplib sends them, while what needs no answer overtakes. */
export interface Requests {
  /** `method` is AMQP's name of what is asked. */
  ask<Answer>(method: string, operation: () => Answer): Promise<Answer>
  /** The broker closed the channel for another reason: the call that waits for its answer is told which. */
  fail(failure: ChannelFailure): void
  /** No more answers. */
  end(): void
}

interface Request {
  readonly send: () => void
  readonly reject: (error: Error) => void
}

/** `onFailure` closes the channel. */
export function createRequests(wire: Wire, onFailure: (failure: ChannelFailure) => void): Requests {
  const line: Request[] = []
  return {
    ask<Answer>(method: string, operation: () => Answer): Promise<Answer> {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      const read = (): void => {
        if (line[0] !== request) return
        try {
          resolve(operation())
        } catch (error) {
          reject(error instanceof ChannelFailure ? clientError(error, method) : error)
          if (error instanceof ChannelFailure) {
            line.shift()
            onFailure(error)
            return
          }
        }
        line.shift()
        line[0]?.send()
      }
      const request: Request = { send: () => wire.send(read), reject }
      line.push(request)
      if (line.length === 1) request.send()
      return promise
    },
    fail(failure): void {
      line.shift()?.reject(clientError(failure))
    },
    end(): void {
      for (const { reject } of line.splice(0)) reject(new Error('Channel ended, no reply will be forthcoming'))
    },
  }
}
