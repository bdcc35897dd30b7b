import type { Stage } from '../stage.ts'

export async function publishKeys({ screen, endpoint, orders }: Stage): Promise<void> {
  screen.heading('1  Billing and shipping publish a public key')
  screen.say('Each keeps its private key to itself. The orders service reads the public ones over HTTP, and remembers them:')
  screen.line()
  await orders.start()
  const urls = ['billing', 'shipping'].map((service) => ({ service, url: endpoint.urlOf(service) }))
  const longest = Math.max(...urls.map(({ url }) => url.length))
  for (const { service, url } of urls) {
    screen.line(`  GET ${url.padEnd(longest)}  ${screen.tone('quiet', '→')}  public key ${screen.tone('name', orders.keyFor(service) ?? 'none')}`)
  }
}
