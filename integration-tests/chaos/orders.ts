import { type Channels, defineChannels } from '@sealbus/core'

/** What all processes of the chaos tests agree on: numbered orders, sealed for two services, and a control in the plain. */
export const SERVICES = ['billing', 'shipping'] as const
export type ServiceName = (typeof SERVICES)[number]

export const channels: Channels = defineChannels({ orders: { to: SERVICES, match: ['orders', 'orders.billing', 'orders.shipping'] }, metrics: 'plaintext' })

/** The variable of the environment that has a consuming process's private keys. */
export const KEYS = 'CHAOS_PRIVATE_KEYS'

/** Of the sealed orders' marks and of the plain control's; see `canaries.ts`. */
export interface Marks {
  readonly order: string
  readonly control: string
}

/** The number in a canary; undefined when the text is not one of this mark, to the last character. */
export function numberOf(text: string, canary: (number: number) => string): number | undefined {
  const number = Number(/"number":(\d+)}$/.exec(text)?.[1])
  return text === canary(number) ? number : undefined
}

/** A command to whoever sends them: orders up to this number. It keeps them coming through all of the chaos. */
export interface Allowance {
  readonly number: number
}
