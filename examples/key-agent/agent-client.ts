import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { type Answer, answerOf, type Question, toLine } from './protocol.ts'

type WithoutId<Message> = Message extends unknown ? Omit<Message, 'id'> : never

/** Questions to the agent over one connection, which is made again after it was lost. */
export class AgentClient {
  readonly #path: string
  readonly #waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (reason: Error) => void }>()
  #socket: Socket | undefined
  #next = 0

  constructor(path: string) {
    this.#path = path
  }

  /** Rejects when the connection cannot be made, or is lost before the answer. */
  ask(question: WithoutId<Question>, signal?: AbortSignal): Promise<Answer> {
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      signal?.addEventListener('abort', () => {
        this.#waiting.delete(id)
        reject(new Error('the question was given up'))
      }, { once: true })
      this.#connection().write(toLine({ ...question, id }))
    })
  }

  close(): void {
    this.#socket?.destroy()
  }

  #connection(): Socket {
    if (this.#socket) return this.#socket
    const socket = connect(this.#path)
    this.#socket = socket
    // A service that waits for nothing else may end.
    socket.unref()
    socket.on('close', () => {
      this.#socket = undefined
      for (const { reject } of this.#waiting.values()) reject(new Error('the connection to the key agent was lost'))
      this.#waiting.clear()
    })
    // What went wrong does not matter here: 'close' follows.
    createInterface(socket).on('error', () => {}).on('line', (line) => {
      const answer = answerOf(line)
      this.#waiting.get(answer.id)?.resolve(answer)
      this.#waiting.delete(answer.id)
    })
    return socket
  }
}
