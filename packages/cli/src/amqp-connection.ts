import type { ChannelModel } from 'amqplib'
import { BrokerUnreachableError } from './unreachable.ts'

/** @throws BrokerUnreachableError */
export async function openAmqp(url: string): Promise<ChannelModel> {
  // Only here: whoever needs no RabbitMQ does not load the client.
  const { connect } = await import('amqplib')
  try {
    const connection = await connect(url, { timeout: 3_000 })
    // What a closed connection means, the next call on it says.
    connection.on('error', () => {})
    return connection
  } catch (error) {
    throw new BrokerUnreachableError('RabbitMQ', withoutPassword(url), error)
  }
}

/** For people to read. */
export function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return '(an address that cannot be parsed)'
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}
