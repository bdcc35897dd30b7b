/** The service `billing`: answers requests, and hears of events. Decorators are applied as functions, because this runs with types stripped. */
import 'reflect-metadata'
import { Controller, type INestMicroservice, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { Ctx, EventPattern, type KafkaContext, MessagePattern, Payload, RpcException } from '@nestjs/microservices'
import { opened } from '@sealbus/core'
import type { SealKafkaOptions } from '@sealbus/kafka'
import type { ordersOf } from './channels.ts'
import { SealedServerKafka } from './sealed-transport.ts'

export interface Order {
  readonly customer: string
  readonly prices: readonly number[]
}

export interface BillingOptions {
  readonly brokers: string[]
  readonly topics: ReturnType<typeof ordersOf>
  readonly sealing: SealKafkaOptions
  /** `channel` is undefined for a message that was not sealed. */
  readonly onPlaced: (order: Order, channel: string | undefined) => void
}

export async function startBilling({ brokers, topics, sealing, onPlaced }: BillingOptions): Promise<INestMicroservice> {
  class BillingController {
    total({ customer, prices }: Order): { total: number } {
      if (prices.length === 0) throw new RpcException(`${customer} has ordered nothing`)
      return { total: prices.reduce((sum, price) => sum + price, 0) }
    }

    placed(order: Order, context: KafkaContext): void {
      onPlaced(order, opened(context.getMessage())?.channel)
    }
  }
  handler(BillingController, 'total', MessagePattern(topics.total))
  handler(BillingController, 'placed', EventPattern(topics.placed))
  Controller()(BillingController)

  // oxlint-disable-next-line typescript/no-extraneous-class -- a module of NestJS is its decorator
  class BillingModule {}
  Module({ controllers: [BillingController] })(BillingModule)

  const strategy = new SealedServerKafka({ client: { brokers }, consumer: { groupId: `billing.${topics.total}`, maxWaitTimeInMs: 100 } }, sealing)
  const service = await NestFactory.createMicroservice(BillingModule, { strategy, logger: ['error', 'warn'] })
  await service.listen()
  return service
}

function handler(controller: { prototype: object }, name: string, pattern: MethodDecorator): void {
  Payload()(controller.prototype, name, 0)
  Ctx()(controller.prototype, name, 1)
  const method = Object.getOwnPropertyDescriptor(controller.prototype, name)
  if (method) pattern(controller.prototype, name, method)
}
