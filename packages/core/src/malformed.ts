import { SealbusError } from './errors.ts'

/** The bytes are not the wire form. The reason names a member or a rule, never a value. */
export const malformed = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_MALFORMED', `not an envelope: ${reason}`)

/** The wire form is right, but the policy does not admit it. */
export const refused = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_REFUSED', `envelope refused: ${reason}`)
