/**
 * For tools that make keys and examine what others publish: not for applications. The `sealbus` command uses this and
 * the main entry.
 */
export { isJsonObject, type Json, type JsonObject, parseJson } from './json.ts'
export { createGuardedFetch, type GuardedFetch, type GuardOptions } from './jwks/guarded-fetch.ts'
export { type Inspection, inspectKeySet, type InspectOptions } from './jwks/inspect.ts'
export { DIRECTORY_LIMITS } from './jwks/limits.ts'
export { parseKeySet, type RejectedKey, type SetKey } from './jwks/parse.ts'
export { selectKey } from './jwks/select.ts'
export { type PublicParts, publicParts } from './public-parts.ts'
export { LIMITS } from './limits.ts'
