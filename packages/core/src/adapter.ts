/**
 * For writing an adapter to another client: not for applications. `@sealbus/kafka` and `@sealbus/rabbitmq` use only
 * this and the main entry.
 */
export { checkNames } from './bounds.ts'
export { callOut } from './call-out.ts'
export { type Attempt, createDispositions, type Decision, type Disposition, type DispositionOptions, type Dispositions, PARK_HEADERS } from './disposition.ts'
export { markOpened, openedEnvelope } from './opened.ts'
export { checkKeyWaitMs, createKeyWait, type KeyWait } from './key-wait.ts'
export { LIMITS } from './limits.ts'
export { createPrivateMark, type PrivateMark } from './private-mark.ts'
export { mayOpenLater } from './open-later.ts'
export { checkListParked, type ListedCopy, type ListParkedOptions } from './list-parked.ts'
export { copyDigest, type ParkedCopy, type ParkedFacts, readParkHeaders, withoutParkHeaders } from './parked.ts'
export { createRedriveRun, type Delivery, type KeptCopy, type RedriveGroup, type RedriveOptions, type RedriveProgress, type RedriveResult, type RedriveRun, type Verdict } from './redrive.ts'
