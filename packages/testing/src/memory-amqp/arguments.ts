import type { MissingInAmqp } from '../features.ts'
import { NotSimulatedError } from '../not-simulated.ts'
import type { AssertExchangeOptions, AssertQueueOptions, ConsumeOptions, PublishOptions } from './shape.ts'

type Table = Readonly<Record<string, unknown>>

const FEATURE_OF: Readonly<Record<string, MissingInAmqp>> = {
  'x-dead-letter-exchange': 'deadLettering',
  'x-dead-letter-routing-key': 'deadLettering',
  'x-dead-letter-strategy': 'deadLettering',
  'x-message-ttl': 'expiry',
  'x-expires': 'expiry',
  'x-max-length': 'lengthLimits',
  'x-max-length-bytes': 'lengthLimits',
  'x-overflow': 'lengthLimits',
  'x-max-priority': 'priorities',
  'x-priority': 'priorities',
  'x-queue-type': 'queueTypes',
  'x-delivery-limit': 'queueTypes',
}

/** These change nothing that a client can see. */
const HARMLESS: readonly (readonly [string, unknown])[] = [
  ['x-queue-type', 'classic'],
  ['x-queue-mode', 'lazy'],
  ['x-queue-mode', 'default'],
]

export function checkQueueOptions({ arguments: table = {}, ...options }: AssertQueueOptions): void {
  check({
    ...table,
    'x-message-ttl': options.messageTtl ?? table['x-message-ttl'],
    'x-expires': options.expires ?? table['x-expires'],
    'x-dead-letter-exchange': options.deadLetterExchange ?? table['x-dead-letter-exchange'],
    'x-dead-letter-routing-key': options.deadLetterRoutingKey ?? table['x-dead-letter-routing-key'],
    'x-max-length': options.maxLength ?? table['x-max-length'],
    'x-max-priority': options.maxPriority ?? table['x-max-priority'],
    'x-overflow': options.overflow ?? table['x-overflow'],
    'x-queue-mode': options.queueMode ?? table['x-queue-mode'],
  })
}

export function checkExchangeOptions(type: string, { internal = false, alternateExchange, arguments: table = {} }: AssertExchangeOptions): void {
  if (type === 'headers' || type === 'match') refuse('headersExchanges', 'an exchange of type headers')
  if (internal || alternateExchange !== undefined || Object.keys(table).length > 0) refuse('exchangeArguments', 'an internal exchange, an alternate one, or arguments')
}

export function checkConsumeOptions({ priority, arguments: table = {} }: ConsumeOptions): void {
  check({ ...table, 'x-priority': priority ?? table['x-priority'] })
}

export function checkPublishOptions({ expiration }: PublishOptions): void {
  if (expiration !== undefined) refuse('expiry', 'a message that expires')
}

export function checkBindingArguments(table: Table = {}): void {
  check(table)
}

function check(table: Table): void {
  for (const [name, value] of Object.entries(table)) {
    if (value === undefined || HARMLESS.some(([harmless, taken]) => harmless === name && taken === value)) continue
    refuse((Object.hasOwn(FEATURE_OF, name) && FEATURE_OF[name]) || 'otherArguments', `the argument ${name}`)
  }
}

function refuse(feature: MissingInAmqp, what: string): never {
  throw new NotSimulatedError(feature, what)
}
