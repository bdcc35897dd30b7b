import { createRequire } from 'node:module'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import { describe, expect, it } from 'vitest'
import type { TopicRecords } from '../src/client-shape.ts'
import { createParking } from '../src/parking.ts'
import { FakeProducer, record } from './support/fakes.ts'

// kafkajs' own encoder and decoder of records: what one delivers is not always what the other takes.
const require = createRequire(import.meta.url)
const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => { readVarInt(): number }
const decode = require('kafkajs/src/protocol/recordBatch/record/v0/decoder') as (decoder: object, context: object) => { headers: Record<string, unknown> }
const encode = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => { buffer: Buffer }

/** The headers of a message as kafkajs hands them over, once they were on the wire. */
function overTheWire(headers: object): Record<string, unknown> {
  const decoder = new Decoder(Buffer.from(encode({ key: null, value: Buffer.from('x'), headers }).buffer))
  decoder.readVarInt()
  return decode(decoder, { firstOffset: '0', firstTimestamp: '0' }).headers
}

describe('parking', () => {
  it('pitfall 14: headers that kafkajs hands over, but does not take, are no reason to wait for the parking place for ever', async () => {
    const given = overTheWire(JSON.parse('{"__proto__":"a","constructor":"b","toString":["c","d"],"plain":"e","twice":["f","g"]}') as object)
    // Another client wrote these: kafkajs itself cannot.
    Object.assign(given, { empty: null, half: [Buffer.from('h'), null] })
    const producer = new FakeProducer()
    const written: Record<string, unknown>[] = []
    producer.send = async (sent?: TopicRecords) => void written.push(...(sent?.messages ?? []).map(({ headers }) => overTheWire(headers ?? {})))
    const parking = createParking({ topic: 'parked', producer }, 'billing')
    await parking.park({ topic: 'orders', partition: 0 }, record(7, Buffer.from('x'), { headers: given }), 'ERR_SEALBUS_MALFORMED')
    const [headers = {}] = written
    const valuesOf = (name: string): string[] => [headers[name]].flat().filter((each) => Buffer.isBuffer(each)).map(String)
    expect(Object.keys(headers).filter((name) => !Object.values<string>(PARK_HEADERS).includes(name)).toSorted()).toEqual(['__proto__', 'constructor', 'empty', 'half', 'plain', 'toString', 'twice'])
    expect(['__proto__', 'constructor', 'toString', 'plain', 'twice', 'empty', 'half'].map(valuesOf)).toEqual([['a'], ['b'], ['c', 'd'], ['e'], ['f', 'g'], [''], ['h', '']])
    expect(valuesOf(PARK_HEADERS.id)).toEqual(['billing/orders/0/7'])
  })
})
