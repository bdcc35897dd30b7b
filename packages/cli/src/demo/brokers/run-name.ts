import { randomBytes } from 'node:crypto'

/** What everything that one run makes on a broker begins with: two runs never meet. */
export function createRunName(): string {
  return `sealbus-demo-${randomBytes(4).toString('hex')}`
}
