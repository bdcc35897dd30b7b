/** A consuming service, as a team writes it with amqplib 2 and its recovery: handled, then acknowledged. */
import { createOpener, loadIdentities, opened } from '@sealbus/core'
import { sealAmqp } from '@sealbus/rabbitmq'
import { type ChannelModel, connect } from 'amqplib'
import { canary } from '../support/canaries.ts'
import { assignment, listen, report as write } from '../support/reporting.ts'
import { channels, KEYS, type Marks, numberOf, type ServiceName } from './orders.ts'

export interface RabbitConsumption {
  readonly url: string
  readonly name: ServiceName
  readonly marks: Marks
  readonly prefetch: number
}

export type DeliveryReport =
  | { readonly kind: 'handled'; readonly number: number; readonly id: string; readonly redelivered: boolean }
  /** It consumes on a new channel. */
  | { readonly kind: 'joined' }
  /** The broker cancelled the consumer: the connection is given up, which makes a new one. */
  | { readonly kind: 'cancelled' }
  /** None of these may happen. */
  | { readonly kind: 'failed'; readonly reason: string }

const report: (what: DeliveryReport) => void = write
const { url, name, marks, prefetch } = assignment() as RabbitConsumption
listen()
const opener = createOpener({ name, identities: await loadIdentities({ env: KEYS }), channels })

const connection = await connect(url, {
  recovery: {
    initialDelay: 100,
    maxDelay: 1_000,
    async setup(model: ChannelModel) {
      model.on('error', () => {})
      const giveUp = (): void => void model.close().catch(() => {})
      const parking = await model.createConfirmChannel()
      parking.on('error', () => {}).on('close', giveUp)
      const onParked = ({ code }: { code: string }): void => report({ kind: 'failed', reason: `parked: ${code}` })
      const channel = await sealAmqp(model, { opener, park: { channel: parking, exchange: '', routingKey: `orders.${name}.parked` }, onParked }).createChannel()
      // A channel may end alone; its connection is then given up too, which makes a new one.
      channel.on('error', () => {}).on('close', giveUp)
      await channel.prefetch(prefetch)
      await channel.consume(`orders.${name}`, (message) => {
        if (!message) {
          report({ kind: 'cancelled' })
          return giveUp()
        }
        const number = numberOf(message.content.toString(), (each) => canary(marks.order, each))
        const id = opened(message)?.id
        if (number === undefined || id === undefined) return report({ kind: 'failed', reason: 'a changed order' })
        report({ kind: 'handled', number, id, redelivered: message.fields.redelivered })
        channel.ack(message)
      })
      report({ kind: 'joined' })
    },
  },
})
connection.on('error', () => {})
