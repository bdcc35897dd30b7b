import { expect } from 'vitest'
import { isSealbusError, type SealbusErrorCode } from '../../src/errors.ts'

/** The code that a call throws; a failure when it throws nothing, or something that is no SealbusError. */
export function codeOf(call: () => unknown): SealbusErrorCode {
  try {
    call()
  } catch (error) {
    if (isSealbusError(error)) return error.code
    throw error
  }
  return expect.fail('nothing was thrown')
}

export async function rejectionOf(promise: Promise<unknown>): Promise<SealbusErrorCode> {
  try {
    await promise
  } catch (error) {
    if (isSealbusError(error)) return error.code
    throw error
  }
  return expect.fail('it did not reject')
}

/** Whatever a call throws; a failure when it throws nothing. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return expect.fail('nothing was thrown')
}

/** What a promise rejects with; a failure when it does not. */
export async function rejectedBy(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  return expect.fail('it did not reject')
}
