import { randomInt } from 'node:crypto'

/** What the orders service has to say, and nobody but billing and shipping may read. */
export interface Order {
  readonly order: string
  readonly customer: string
  readonly item: string
  readonly card: string
}

const CUSTOMERS = ['Ada Lovelace', 'Alan Turing', 'Grace Hopper', 'Edsger Dijkstra', 'Barbara Liskov', 'Donald Knuth', 'Radia Perlman', 'Claude Shannon']
const ITEMS = ['espresso machine', 'desk lamp', 'rain coat', 'chess set', 'bread knife', 'wall clock', 'tea kettle']

/** The n-th order, counted from 0. Its card number is random, so that finding it anywhere is no accident. */
export function createOrder(n: number): Order {
  return {
    order: `A-${1_001 + n}`,
    customer: CUSTOMERS[n % CUSTOMERS.length] ?? '',
    item: ITEMS[n % ITEMS.length] ?? '',
    card: `4000${randomInt(1e6).toString().padStart(6, '0')}${randomInt(1e6).toString().padStart(6, '0')}`,
  }
}
