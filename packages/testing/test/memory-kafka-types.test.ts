import { createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import type { Consumer, ConsumerConfig, ConsumerRunConfig, EachBatchPayload, EachMessagePayload, Kafka, KafkaMessage, Producer, ProducerBatch, ProducerConfig, ProducerRecord } from 'kafkajs'
import { describe, expectTypeOf, it } from 'vitest'
import { createMemoryKafka, type MemoryKafka } from '../src/index.ts'

describe('the types of a Kafka in memory', () => {
  it("are kafkajs' own shape: it goes where kafkajs' client goes", () => {
    expectTypeOf<MemoryKafka>().toExtend<Kafka>()
    expectTypeOf<ReturnType<MemoryKafka['producer']>>().toExtend<Producer>()
    expectTypeOf<ReturnType<MemoryKafka['consumer']>>().toExtend<Consumer>()
  })

  it("take kafkajs' own configurations and records, every member of them", () => {
    type Ours = { producer: NonNullable<Parameters<MemoryKafka['producer']>[0]>; consumer: Parameters<MemoryKafka['consumer']>[0]; record: Parameters<ReturnType<MemoryKafka['producer']>['send']>[0]; batch: Parameters<ReturnType<MemoryKafka['producer']>['sendBatch']>[0]; run: NonNullable<Parameters<ReturnType<MemoryKafka['consumer']>['run']>[0]> }
    type Theirs = { producer: ProducerConfig; consumer: ConsumerConfig; record: ProducerRecord; batch: ProducerBatch; run: ConsumerRunConfig }
    expectTypeOf<Theirs>().toExtend<Ours>()
    expectTypeOf<{ [Kind in keyof Theirs]: Exclude<keyof Theirs[Kind], keyof Ours[Kind]> }>().toEqualTypeOf<{ [Kind in keyof Theirs]: never }>()
  })

  it("hand kafkajs' own payloads to handlers that are written for it", () => {
    type Run = NonNullable<Parameters<ReturnType<MemoryKafka['consumer']>['run']>[0]>
    expectTypeOf<(payload: EachMessagePayload) => Promise<void>>().toExtend<NonNullable<Run['eachMessage']>>()
    expectTypeOf<(payload: EachBatchPayload) => Promise<void>>().toExtend<NonNullable<Run['eachBatch']>>()
    expectTypeOf<Parameters<NonNullable<Run['eachMessage']>>[0]['message']>().toExtend<KafkaMessage>()
  })

  it('pass through sealKafka', async () => {
    const channels = defineChannels({ orders: { to: ['billing'] } })
    const kafka = createMemoryKafka()
    const sealed = sealKafka(kafka, {
      sealer: createSealer({ directory: createStaticDirectory({}), channels }),
      opener: createOpener({ name: 'billing', identities: await loadIdentities({ keys: [] }), channels }),
      onStopped: () => {},
    })
    expectTypeOf(sealed).toEqualTypeOf<MemoryKafka>()
  })
})
