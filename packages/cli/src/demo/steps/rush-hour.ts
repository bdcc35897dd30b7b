import type { Tampering } from '../brokers/broker.ts'
import { number } from '../../number.ts'
import { type Measured, type Stage, untilRead } from '../stage.ts'

/** Orders at full speed: measured from the first one sent until billing and shipping have read the last. */
export async function rushHour(stage: Stage, count: number, tampering: Tampering): Promise<Measured['rush']> {
  const { screen, orders } = stage
  screen.heading(`6  Rush hour: ${number(count)} orders as fast as they go`)
  const began = performance.now()
  await orders.send(count)
  await untilRead(stage, tampering)
  const seconds = (performance.now() - began) / 1_000
  screen.say(`Encrypted, sent, and read by two services in ${seconds.toFixed(2)} s. The slow part of public-key encryption is done once for many orders, not for each.`)
  return { orders: count, seconds }
}
