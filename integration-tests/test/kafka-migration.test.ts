import { setTimeout as sleep } from 'node:timers/promises'
import { type Channels, createOpener, createSealer, defineChannels, opened, type OpenedCounts } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import type { Consumer, Producer } from 'kafkajs'
import { expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { useKafka, WAIT } from '../support/kafka-fixture.ts'

const TOPICS = ['orders', 'refunds'] as const
type Topic = (typeof TOPICS)[number]
/** What each side of a topic does: the steps of docs/MIGRATION.md are changes of one of these. */
type Consuming = 'plain' | 'sealed-or-plain' | 'sealed'
type Producing = 'plain' | 'sealed'

const names: Record<Topic, string> = { orders: uniqueName('orders'), refunds: uniqueName('refunds') }
const declare = (accept: Record<Topic, Consuming>): Channels =>
  defineChannels(Object.fromEntries(TOPICS.map((topic) => [topic, accept[topic] === 'plain' ? { to: ['billing'], match: [names[topic]], accept: 'sealed-or-plain' } : { to: ['billing'], match: [names[topic]], accept: accept[topic] }])))

describeWithKafka('Kafka migration', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, declare({ orders: 'sealed', refunds: 'sealed' }))

  it('plain to sealed and back, topic by topic, one service after the other, while messages flow: none is lost, parked or stopped at, and all are in order', { timeout: 180_000 }, async () => {
    await fixture.admin.createTopics({ topics: TOPICS.map((topic) => ({ topic: names[topic], numPartitions: 2 })), waitForLeaders: true })
    const groupId = uniqueName('billing')
    const { kafka, services } = fixture
    const { name, identities } = services.named('billing')
    const troubles: string[] = []
    const handled: Record<Topic, { number: number; partition: number; kind: 'sealed' | 'plain' }[]> = { orders: [], refunds: [] }

    // The producing service: while a topic is plain it uses the bare client for it, and after that the wrapped one.
    const sealer = createSealer({ directory: services.directory, channels: declare({ orders: 'sealed', refunds: 'sealed' }) })
    await sealer.ready()
    const producers: Record<Producing, Producer> = { plain: fixture.raw, sealed: sealKafka(kafka, { sealer }).producer() }
    await producers.sealed.connect()
    fixture.closeLater(() => producers.sealed.disconnect())
    const producing: Record<Topic, Producing> = { orders: 'plain', refunds: 'plain' }
    const sent: Record<Topic, number> = { orders: 0, refunds: 0 }
    const sentSealed: Record<Topic, number> = { orders: 0, refunds: 0 }
    let flowing = true
    const flow = Promise.all(TOPICS.map(async (topic) => {
      while (flowing) {
        const number = sent[topic]++
        if (producing[topic] === 'sealed') sentSealed[topic]++
        await producers[producing[topic]].send({ topic: names[topic], messages: [{ key: `${number % 2}`, partition: number % 2, value: `${number}`, headers: { 'content-type': 'text/plain' } }] })
        await sleep(5)
      }
    }))

    // The consuming service: a new instance joins the group, and then the old one leaves.
    const accepting: Record<Topic, Consuming> = { orders: 'plain', refunds: 'plain' }
    type Kinds = Record<'sealed' | 'plain', number>
    interface Instance {
      readonly consumer: Consumer
      readonly bare: boolean
      readonly counts: () => Readonly<Record<string, OpenedCounts>>
      readonly handled: Record<Topic, Kinds>
    }
    const instances: Instance[] = []
    const deployConsumer = async (): Promise<void> => {
      const before = instances.at(-1)
      const bare = TOPICS.every((topic) => accepting[topic] === 'plain')
      const opener = createOpener({ name, identities, channels: declare(accepting) })
      const client = bare ? kafka : sealKafka(kafka, { opener, onStopped: ({ topic, offset, error }) => void troubles.push(`${topic}/${offset}: ${error.code}`) })
      const consumer = client.consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 200, maxWaitTimeInMs: 100 })
      fixture.closeLater(() => consumer.disconnect())
      await consumer.connect()
      await consumer.subscribe({ topics: Object.values(names), fromBeginning: true })
      const mine: Instance['handled'] = { orders: { sealed: 0, plain: 0 }, refunds: { sealed: 0, plain: 0 } }
      await consumer.run({ eachMessage: async ({ topic: from, partition, message }) => {
        const topic = TOPICS.find((each) => names[each] === from) ?? expect.fail()
        expect(String(message.headers?.['content-type'])).toBe('text/plain')
        const kind = opened(message) ? 'sealed' : 'plain'
        handled[topic].push({ number: Number(String(message.value)), partition, kind })
        mine[topic][kind]++
      } })
      instances.push({ consumer, bare, counts: () => opener.counts(), handled: mine })
      await before?.consumer.disconnect()
    }
    const some = async (topic: Topic, kind: 'sealed' | 'plain'): Promise<void> => {
      const from = handled[topic].length
      await expect.poll(() => handled[topic].slice(from).filter((each) => each.kind === kind).length, WAIT).toBeGreaterThan(15)
    }

    await deployConsumer()
    for (const topic of TOPICS) await some(topic, 'plain')

    // Forward, one topic and then the other: consumers, producers, enforcement.
    for (const topic of TOPICS) {
      accepting[topic] = 'sealed-or-plain'
      await deployConsumer()
      await some(topic, 'plain')
      producing[topic] = 'sealed'
      await some(topic, 'sealed')
      // The other topic is not touched by this.
      if (topic === 'orders') await some('refunds', 'plain')
      // What the counters show decides: no plain message for a while.
      let plain = -1
      await expect.poll(() => {
        const now = instances.at(-1)?.counts()[topic]?.plain ?? 0
        const still = now === plain
        plain = now
        return still
      }, { ...WAIT, interval: 500 }).toBe(true)
      accepting[topic] = 'sealed'
      await deployConsumer()
      await some(topic, 'sealed')
    }

    // Back: consumers before producers, and only then may they be bare again.
    for (const topic of TOPICS) {
      accepting[topic] = 'sealed-or-plain'
      await deployConsumer()
      await some(topic, 'sealed')
      producing[topic] = 'plain'
      await some(topic, 'plain')
    }
    // What is sealed must have been read by then: a bare consumer would see envelopes.
    await expect.poll(async () => (await Promise.all(TOPICS.map(async (topic) => (await fixture.committed(groupId, names[topic])).every((offset, partition) => Number(offset) > (handled[topic].filter((each) => each.kind === 'sealed' && each.partition === partition).length))))).every(Boolean), WAIT).toBe(true)
    for (const topic of TOPICS) accepting[topic] = 'plain'
    await deployConsumer()
    for (const topic of TOPICS) await some(topic, 'plain')

    flowing = false
    await flow
    for (const topic of TOPICS) {
      const numbers = (): Set<number> => new Set(handled[topic].map(({ number }) => number))
      await expect.poll(() => numbers().size, WAIT).toBe(sent[topic])
      // In order within a partition; where instances change, the client may deliver a few again.
      for (const partition of [0, 1]) {
        const firsts = [...new Set(handled[topic].filter((each) => each.partition === partition).map(({ number }) => number))]
        expect(firsts).toEqual(firsts.toSorted((a, b) => a - b))
      }
    }
    expect(troubles).toEqual([])

    // The counters by which the steps are taken: what was sent sealed, and what each wrapped instance was given.
    expect(sealer.counts()).toMatchObject(Object.fromEntries(TOPICS.map((topic) => [topic, { sealed: sentSealed[topic], plain: 0 }])))
    for (const { bare, counts, handled: own } of instances) {
      if (bare) expect(counts()).toEqual({})
      else for (const topic of TOPICS) {
        const { sealed = 0, opened: openings = 0, plain = 0 } = counts()[topic] ?? {}
        for (const [counted, seen] of [[sealed, own[topic].sealed], [openings, own[topic].sealed], [plain, own[topic].plain]] as const) {
          expect(counted).toBeGreaterThanOrEqual(seen)
          // One of each partition may have been opened, and not handled, when the instance left.
          expect(counted).toBeLessThanOrEqual(seen + 2)
        }
      }
    }
  })

  it('enforcement before the producers have moved loses nothing: the plain message stops its partition, and is handled when the step is taken back', async () => {
    const topic = await fixture.topic('hasty')
    const groupId = uniqueName('group')
    const accept = (accepted: 'sealed' | 'sealed-or-plain'): { opener: ReturnType<typeof createOpener> } => {
      const { name, identities } = fixture.services.named('billing')
      return { opener: createOpener({ name, identities, channels: defineChannels({ hasty: { to: ['billing'], match: [topic], accept: accepted } }) }) }
    }
    await fixture.raw.send({ topic, messages: [{ value: 'plain' }] })
    const stopped: string[] = []
    const hasty = await fixture.consumer({ topics: [topic], groupId, ...accept('sealed'), onStopped: ({ error }) => void stopped.push(error.code) })
    await hasty.run({ eachMessage: async () => expect.unreachable('it is plain') })
    await expect.poll(() => stopped, WAIT).toEqual(['ERR_SEALBUS_NOT_SEALED'])
    await hasty.disconnect()
    const seen: string[] = []
    const back = await fixture.consumer({ topics: [topic], groupId, ...accept('sealed-or-plain') })
    await back.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen, WAIT).toEqual(['plain'])
  })
})
