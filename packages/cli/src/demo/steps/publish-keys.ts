import type { Stage } from '../stage.ts'

export async function publishKeys({ screen, endpoint, orders }: Stage): Promise<void> {
  screen.heading('1  Billing and shipping publish a public key')
  screen.say('Each keeps its private key to itself. The orders service reads the public ones over HTTP, and remembers them:')
  screen.line()
  await orders.start()
  for (const service of ['billing', 'shipping']) {
    screen.line(`  GET ${endpoint.urlOf(service)}  ${screen.tone('quiet', '→')}  ${screen.tone('name', orders.keyFor(service) ?? 'no key')}`)
  }
}
