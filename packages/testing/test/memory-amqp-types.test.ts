import { createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities } from '@sealbus/core'
import { sealAmqp } from '@sealbus/rabbitmq'
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage, GetMessage, Options } from 'amqplib'
import { describe, expectTypeOf, it } from 'vitest'
import { createMemoryAmqp, type MemoryAmqpChannel, type MemoryAmqpConfirmChannel, type MemoryAmqpConnection } from '../src/index.ts'

describe('the types of an AMQP broker in memory', () => {
  it("are amqplib's own shape: they go where amqplib's objects go", () => {
    expectTypeOf<MemoryAmqpConnection>().toExtend<ChannelModel>()
    expectTypeOf<MemoryAmqpChannel>().toExtend<Channel>()
    expectTypeOf<MemoryAmqpConfirmChannel>().toExtend<ConfirmChannel>()
  })

  it("take amqplib's own options, every member of them", () => {
    type Given<Method extends 'assertQueue' | 'assertExchange' | 'publish' | 'consume', At extends number> = NonNullable<Parameters<MemoryAmqpChannel[Method]>[At]>
    type Ours = { queue: Given<'assertQueue', 1>; exchange: Given<'assertExchange', 2>; publish: Given<'publish', 3>; consume: Given<'consume', 2> }
    type Theirs = { queue: Options.AssertQueue; exchange: Options.AssertExchange; publish: Options.Publish; consume: Options.Consume }
    expectTypeOf<Theirs>().toExtend<Ours>()
    expectTypeOf<{ [Kind in keyof Theirs]: Exclude<keyof Theirs[Kind], keyof Ours[Kind]> }>().toEqualTypeOf<{ [Kind in keyof Theirs]: never }>()
  })

  it("hand amqplib's own messages to handlers that are written for it", () => {
    expectTypeOf<Parameters<Parameters<MemoryAmqpChannel['consume']>[1]>[0]>().toExtend<ConsumeMessage | null>()
    expectTypeOf<Awaited<ReturnType<MemoryAmqpChannel['get']>>>().toExtend<GetMessage | false>()
  })

  it('pass through sealAmqp', async () => {
    const channels = defineChannels({ orders: { to: ['billing'] } })
    const connection = await createMemoryAmqp().connect()
    const sealed = sealAmqp(connection, {
      sealer: createSealer({ directory: createStaticDirectory({}), channels }),
      opener: createOpener({ name: 'billing', identities: await loadIdentities({ keys: [] }), channels }),
      onStopped: () => {},
    })
    expectTypeOf(sealed).toEqualTypeOf<MemoryAmqpConnection>()
    await sealed.close()
  })
})
