/** A publishing service, as a team writes it with amqplib 2 and its recovery: what was not confirmed is published again. */
import { createJwksDirectory, createSealer } from '@sealbus/core'
import { sealAmqp } from '@sealbus/rabbitmq'
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import { canary } from '../support/canaries.ts'
import { assignment, listen, report as write } from '../support/reporting.ts'
import { type Allowance, channels, type Marks } from './orders.ts'

export interface RabbitPublication {
  readonly url: string
  readonly recipients: Record<string, string>
  readonly marks: Marks
  /** Orders are numbered from 1 to this. */
  readonly total: number
  /** Published and not confirmed, at most. */
  readonly window: number
}

export type PublicationReport =
  | { readonly kind: 'confirmed'; readonly number: number }
  /** Its channel ended first, or the broker refused it: it is sealed and published again. */
  | { readonly kind: 'unconfirmed'; readonly number: number }
  | { readonly kind: 'connected' }
  /** None of these may happen. */
  | { readonly kind: 'failed'; readonly reason: string }

const report: (what: PublicationReport) => void = write
const { url, recipients, marks, total, window } = assignment() as RabbitPublication
const directory = createJwksDirectory({ recipients, allowInsecureLoopback: true })
const sealer = createSealer({ directory, channels })
await sealer.ready()

const RETRY_MS = 100

let channel: ConfirmChannel | undefined
let giveUp = (): void => {}
let allowed = 0
let next = 1
let confirmed = 0
const again: number[] = []
const unconfirmed = new Set<number>()

function settle(number: number, error: unknown): void {
  unconfirmed.delete(number)
  if (error) again.push(number)
  else confirmed++
  report({ kind: error ? 'unconfirmed' : 'confirmed', number })
  if (confirmed === total) process.exit(0)
}

function publish(to: ConfirmChannel, number: number): void {
  unconfirmed.add(number)
  to.publish('orders', '', Buffer.from(canary(marks.order, number)), { persistent: true, mandatory: true, contentType: 'application/json' }, (error: unknown) => {
    settle(number, error)
    // Refused by a channel that has not ended: RabbitMQ 3.10 goes on so on one that met a queue while the node of its
    // leader was down. A new one is not refused.
    if (error) setTimeout(() => channel === to && giveUp(), RETRY_MS)
    else publishMore()
  })
  // The scanners' control. It stays in its queue, so that there is always one to be found.
  if (number % 100 === 0) to.sendToQueue('metrics', Buffer.from(canary(marks.control, number)), { persistent: true })
}

function publishMore(): void {
  while (channel && unconfirmed.size < window) {
    const number = again.pop() ?? (next <= allowed ? next++ : undefined)
    if (number === undefined) return
    publish(channel, number)
  }
}

listen((command) => {
  allowed = (command as Allowance).number
  publishMore()
})

const connection = await connect(url, {
  recovery: {
    initialDelay: 100,
    maxDelay: 1_000,
    async setup(model: ChannelModel) {
      model.on('error', () => {})
      const made = await sealAmqp(model, { sealer }).createConfirmChannel()
      made.on('error', () => {})
      made.on('return', () => report({ kind: 'failed', reason: 'an order went to no queue' }))
      giveUp = (): void => {
        if (channel === made) channel = undefined
        model.close().catch(() => {})
      }
      // A channel may end alone; its connection is then given up too, which makes a new one.
      made.on('close', giveUp)
      channel = made
      report({ kind: 'connected' })
      publishMore()
    },
  },
})
connection.on('error', () => {})
