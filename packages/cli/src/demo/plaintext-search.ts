import type { StoredMessage } from './brokers/broker.ts'

/** How many stored messages have one of the secrets in them: as it stands, or in anything that decodes as base64url. */
export function readableMessages(stored: readonly StoredMessage[], secrets: readonly string[]): number {
  const search = new RegExp(secrets.map((secret) => secret.replaceAll(/[^\w ]/g, String.raw`\$&`)).join('|'))
  return stored.filter(({ bytes, headers }) => {
    const text = `${bytes.toString('latin1')} ${Object.values(headers).join(' ')}`
    const decoded = text.match(/[\w-]{8,}/g)?.map((part) => Buffer.from(part, 'base64url').toString('latin1')) ?? []
    return search.test([text, ...decoded].join(' '))
  }).length
}
