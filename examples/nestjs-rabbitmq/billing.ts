/** The service `billing`: answers `total`, and hears of `placed`. Decorators are applied as functions, because this runs with types stripped. */
import 'reflect-metadata'
import { Controller, type INestMicroservice, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { Ctx, EventPattern, MessagePattern, Payload, type RmqContext } from '@nestjs/microservices'
import type { SealAmqpOptions } from '@sealbus/rabbitmq'
import type { Channel, Message } from 'amqplib'
import { SealedServerRMQ } from './sealed-transport.ts'

export interface BillingOptions {
  readonly url: string
  readonly queue: string
  readonly sealing: SealAmqpOptions
  readonly onPlaced: (order: { total: number }) => void
}

export async function startBilling({ url, queue, sealing, onPlaced }: BillingOptions): Promise<INestMicroservice> {
  class BillingController {
    total(prices: readonly number[], context: RmqContext): { total: number } {
      acknowledge(context)
      return { total: prices.reduce((sum, price) => sum + price, 0) }
    }

    placed(order: { total: number }, context: RmqContext): void {
      onPlaced(order)
      acknowledge(context)
    }
  }
  handler(BillingController, 'total', MessagePattern('total'))
  handler(BillingController, 'placed', EventPattern('placed'))
  Controller()(BillingController)

  // oxlint-disable-next-line typescript/no-extraneous-class -- a module of NestJS is its decorator
  class BillingModule {}
  Module({ controllers: [BillingController] })(BillingModule)

  // `noAck` is NestJS's default, and would lose a message that waits for its key.
  const strategy = new SealedServerRMQ({ urls: [url], queue, noAck: false, prefetchCount: 20, queueOptions: { durable: true }, socketOptions: { reconnectTimeInSeconds: 1 } }, sealing)
  const service = await NestFactory.createMicroservice(BillingModule, { strategy, logger: ['error', 'warn'] })
  await service.listen()
  return service
}

function acknowledge(context: RmqContext): void {
  const channel = context.getChannelRef() as Channel
  channel.ack(context.getMessage() as Message)
}

function handler(controller: { prototype: object }, name: string, pattern: MethodDecorator): void {
  Payload()(controller.prototype, name, 0)
  Ctx()(controller.prototype, name, 1)
  const method = Object.getOwnPropertyDescriptor(controller.prototype, name)
  if (method) pattern(controller.prototype, name, method)
}
