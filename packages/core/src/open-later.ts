import type { SealbusError, SealbusErrorCode } from './errors.ts'

const NOT_IN_MEMORY: ReadonlySet<SealbusErrorCode> = new Set(['ERR_SEALBUS_KEYS_NOT_READY', 'ERR_SEALBUS_KEY_UNAVAILABLE', 'ERR_SEALBUS_KEY_MISSING', 'ERR_SEALBUS_NOT_A_RECIPIENT'])

/** Whether what `openSync` failed with may be no more than "not in memory": `open` asks the key source, or reads the identities again. */
export const mayOpenLater = ({ code }: SealbusError): boolean => NOT_IN_MEMORY.has(code)
