import type { StoredMessage } from './brokers/broker.ts'

/**
 * The stored messages in which one of the secrets can be read: as it stands, or after decoding any base64url in it.
 * All messages are one text with a mark between them, because looking at each for each secret takes the square.
 */
export function readableMessages(stored: readonly StoredMessage[], secrets: readonly string[]): number {
  const search = new RegExp(secrets.map((secret) => secret.replaceAll(/[^\w ]/g, String.raw`\$&`)).join('|'))
  return stored.filter(({ bytes, headers }) => {
    const text = `${bytes.toString('latin1')} ${Object.values(headers).join(' ')}`
    const decoded = text.match(/[\w-]{8,}/g)?.map((part) => Buffer.from(part, 'base64url').toString('latin1')) ?? []
    return search.test([text, ...decoded].join(' '))
  }).length
}
