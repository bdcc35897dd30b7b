import { ChannelFailure } from './failure.ts'

/** A topic exchange's pattern is words between dots: `*` is one word, `#` any number of them. */
export type ExchangeType = 'direct' | 'fanout' | 'topic'

export interface Exchange {
  readonly name: string
  readonly type: ExchangeType
  readonly durable: boolean
  readonly autoDelete: boolean
  bind(queue: string, pattern: string): void
  unbind(queue: string, pattern: string): void
  unbindAll(queue: string): void
  /** Whether it is bound to no queue any more, after it was. */
  isSpent(): boolean
  isUsed(): boolean
  /** The queues that a routing key leads to, each once. */
  route(routingKey: string): readonly string[]
}

export function createExchange(name: string, type: string, { durable = true, autoDelete = false }: { durable?: boolean; autoDelete?: boolean } = {}): Exchange {
  if (!isExchangeType(type)) throw new ChannelFailure(406, `invalid exchange type '${type}'`)
  let bindings: { readonly queue: string; readonly pattern: string }[] = []
  let wasBound = false
  return {
    name,
    type,
    durable,
    autoDelete,
    bind(queue, pattern): void {
      wasBound = true
      if (!bindings.some((each) => each.queue === queue && each.pattern === pattern)) bindings.push({ queue, pattern })
    },
    unbind(queue, pattern): void {
      bindings = bindings.filter((each) => each.queue !== queue || each.pattern !== pattern)
    },
    unbindAll(queue): void {
      bindings = bindings.filter((each) => each.queue !== queue)
    },
    isSpent: () => wasBound && bindings.length === 0,
    isUsed: () => bindings.length > 0,
    route: (routingKey) => [...new Set(bindings.filter(({ pattern }) => matches(type, pattern, routingKey)).map(({ queue }) => queue))],
  }
}

const isExchangeType = (type: string): type is ExchangeType => type === 'direct' || type === 'fanout' || type === 'topic'

function matches(type: ExchangeType, pattern: string, routingKey: string): boolean {
  if (type === 'fanout') return true
  return type === 'direct' ? pattern === routingKey : matchesWords(pattern.split('.'), routingKey.split('.'))
}

function matchesWords([first, ...pattern]: readonly string[], words: readonly string[]): boolean {
  if (first === undefined) return words.length === 0
  const [word, ...rest] = words
  if (first === '#') return matchesWords(pattern, words) || (word !== undefined && matchesWords(['#', ...pattern], rest))
  return word !== undefined && (first === '*' || first === word) && matchesWords(pattern, rest)
}
