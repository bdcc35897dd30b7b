import { createMemoryAmqp } from '@sealbus/testing'
import client from 'amqplib'

/** What the READMEs' code is given as amqplib: one broker in the process, or the real client with the address of a test broker. */
const memory = createMemoryAmqp()
const url = process.env['SEALBUS_AMQP_URL']

export default { connect: () => (url === undefined ? memory.connect() : client.connect(url)) }
