import { isSealbusError } from '@sealbus/core'
import { createGuardedFetch, type Inspection, inspectKeySet, type InspectOptions } from '@sealbus/core/tools'
import { Command, Option } from 'commander'
import { parseDuration } from '../duration.ts'
import { EXIT } from '../exit-codes.ts'
import { Refusal, refusing } from '../refusal.ts'
import { createScreen } from '../screen.ts'
import { checkReport, type Connection } from './check-report.ts'
import { showCheck } from './check-view.ts'

interface CheckOptions {
  readonly timeout: number
  readonly allowInsecureLoopback: boolean
  readonly pin: readonly string[]
  readonly host: readonly string[]
  readonly strict?: true
  readonly json?: true
}

export function checkCommand(): Command {
  return new Command('check')
    .description("look at a JWKS endpoint with a sealer's eyes: which key it would choose and why, and what it refuses")
    .argument('<url>', 'https, as in the directory of recipients')
    .addOption(new Option('--timeout <time>', 'for connection, headers and body').default(5_000, '5s').argParser(parseDuration))
    .option('--allow-insecure-loopback', 'loopback hosts, and http for them', false)
    .option('--pin <thumbprint>', 'as in the directory: any other key is refused; more than once for more', collect, [])
    .option('--host <name>', 'as in the directory: any other host is refused, and an address must be named; more than once for more', collect, [])
    .option('--strict', 'warnings are failures too')
    .option('--json', 'print JSON')
    .addHelpText('after', `
Exit codes: 0 a sealer would choose a key, 1 it would not, or a private key is shown (--strict: or there is a warning),
2 wrong arguments, 3 the endpoint cannot be reached.`)
    .action(refusing(async (url: string, { timeout: timeoutMs, allowInsecureLoopback, pin: pins, host: hosts, strict, json }: CheckOptions) => {
      const { inspection, connection } = await look(url, { timeoutMs, allowInsecureLoopback, ...(pins.length > 0 && { pins }), ...(hosts.length > 0 && { hosts }) })
      const report = checkReport(url, inspection, connection, Date.now())
      if (json) console.log(JSON.stringify(report))
      else showCheck(createScreen(process.stdout), report)
      const failed = report.findings.some(({ severity }) => severity === 'error' || strict)
      process.exitCode = !failed ? EXIT.ok : inspection.kind === 'unavailable' && !inspection.answer ? EXIT.unreachable : EXIT.failed
    }))
}

async function look(url: string, options: Omit<InspectOptions, 'fetch'> & { readonly allowInsecureLoopback: boolean }): Promise<{ inspection: Inspection; connection: Connection }> {
  const guarded = createGuardedFetch({ allowLoopback: options.allowInsecureLoopback })
  let connection: Connection = {}
  /** The directory's own reasons name no errors of others; whoever mends an endpoint needs their codes. */
  const fetch: typeof globalThis.fetch = async (...request) => {
    try {
      const response = await guarded.fetch(...request)
      const location = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
      if (location !== null) connection = { location: withoutQuery(location, url) }
      return response
    } catch (error) {
      const cause: unknown = error instanceof Error ? error.cause : undefined
      if (cause instanceof Error && 'code' in cause) connection = { failure: String(cause.code) }
      throw error
    }
  }
  try {
    return { inspection: await inspectKeySet(url, { ...options, fetch }), connection }
  } catch (error) {
    // Without the URL, which may hold credentials.
    if (isSealbusError(error) && error.code === 'ERR_SEALBUS_INVALID_OPTION') throw new Refusal(error.message.replace(/^recipient ".*": /s, ''), EXIT.usage)
    throw error
  } finally {
    guarded.close()
  }
}

const collect = (given: string, before: readonly string[]): readonly string[] => [...before, given]

function withoutQuery(location: string, base: string): string {
  if (!URL.canParse(location, base)) return 'what is no URL'
  const { origin, pathname } = new URL(location, base)
  return `${origin}${pathname}`
}
