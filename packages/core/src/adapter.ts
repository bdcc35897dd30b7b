/**
 * For writing an adapter to another client: not for applications. `@sealbus/kafka` and `@sealbus/rabbitmq` use only
 * this and the main entry.
 */
export { checkNames } from './bounds.ts'
export { callOut } from './call-out.ts'
export { type Attempt, createDispositions, type Decision, type Disposition, type DispositionOptions, type Dispositions, PARK_HEADERS } from './disposition.ts'
export { markOpened, openedEnvelope } from './opened.ts'
export { LIMITS } from './limits.ts'
