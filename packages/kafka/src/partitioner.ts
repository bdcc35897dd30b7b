import { createPrivateMark, type PrivateMark } from '@sealbus/core/adapter'

/** On sealed records: the ones that callers gave, for partitioners that look at the plaintext. */
export const originals: PrivateMark<object> = createPrivateMark<object>()

type Partitioner = (args: never) => number

/**
 * Gives a custom partitioner the message as the caller sent it, instead of the sealed one: pass the result as
 * kafkajs' `createPartitioner`. Keys are the same either way, so partitioners by key do not need it.
 */
export function withPlaintextPartitioner<Create extends () => Partitioner>(createPartitioner: Create): Create {
  const create = (): Partitioner => {
    const partition = createPartitioner() as (args: { message: object }) => number
    return (args: { message: object }) => partition({ ...args, message: originals.of(args.message) ?? args.message })
  }
  return create as Create
}
