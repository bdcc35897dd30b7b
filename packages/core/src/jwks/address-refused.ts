/** A name that leads only to addresses that are never asked. */
export class AddressRefused extends Error {
  constructor() {
    super('the name leads to an address that is never asked')
  }
}

/** fetch() wraps what a lookup says in a TypeError. */
export function isAddressRefused(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof AddressRefused
}
