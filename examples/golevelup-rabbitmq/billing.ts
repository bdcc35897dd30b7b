/** The service `billing`: answers on `totals`, and hears of orders. Decorators are applied as functions, because this runs with types stripped. */
import 'reflect-metadata'
import { defaultNackErrorHandler, RabbitMQModule, RabbitRPC, RabbitSubscribe } from '@golevelup/nestjs-rabbitmq'
import { type INestApplicationContext, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'

export interface BillingOptions {
  readonly url: string
  readonly exchange: string
  readonly onPlaced: (order: { total: number }) => void
}

export async function startBilling({ url, exchange, onPlaced }: BillingOptions): Promise<INestApplicationContext> {
  class Billing {
    async total(prices: readonly number[]): Promise<{ total: number }> {
      return { total: prices.reduce((sum, price) => sum + price, 0) }
    }

    async placed(order: { total: number }): Promise<void> {
      onPlaced(order)
    }
  }
  // Its own default for a handler that throws is to requeue at once, for ever.
  const errorHandler = defaultNackErrorHandler
  RabbitRPC({ exchange, routingKey: 'total', queue: `${exchange}.totals`, errorHandler })(Billing.prototype, 'total', Object.getOwnPropertyDescriptor(Billing.prototype, 'total') ?? {})
  RabbitSubscribe({ exchange, routingKey: 'placed', queue: `${exchange}.placed`, errorHandler })(Billing.prototype, 'placed', Object.getOwnPropertyDescriptor(Billing.prototype, 'placed') ?? {})

  // oxlint-disable-next-line typescript/no-extraneous-class -- a module of NestJS is its decorator
  class BillingModule {}
  Module({
    imports: [RabbitMQModule.forRoot({ name: 'billing', uri: url, exchanges: [{ name: exchange, type: 'topic', options: { durable: true } }], connectionManagerOptions: { reconnectTimeInSeconds: 1 } })],
    providers: [Billing],
  })(BillingModule)
  return await NestFactory.createApplicationContext(BillingModule, { logger: ['error', 'warn'] })
}
