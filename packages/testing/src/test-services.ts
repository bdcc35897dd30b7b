import { type Channel, type Channels, createSealer, createStaticDirectory, type Opener, type OpenerOptions, type RecipientDirectory, type SealedMessage, type Sealer, type SealerOptions, type SealOptions } from '@sealbus/core'
import { encodePayload, type Payload } from './payload.ts'
import { createTestService, type TestService, type TestServiceOptions } from './test-service.ts'

export interface TestServicesOptions extends TestServiceOptions, Omit<SealerOptions, 'directory' | 'channels'> {}

export type SealForOptions = Partial<SealOptions>

/** Services with keys of their own, and a directory of them, with no endpoint and no waiting. */
export interface TestServices {
  readonly directory: RecipientDirectory
  /** Seals at once, for the recipients that the channels name. */
  readonly sealer: Sealer
  /** @throws RangeError for a name that is none of theirs; so do the methods below */
  named(name: string): TestService
  /** A new opener for one of them. */
  opener(name: string, options?: Pick<OpenerOptions, 'realm'>): Opener
  /** As `TestService.rotate`: the sealer seals for the new key from the next message on. */
  rotate(name: string): Promise<string>
  /**
   * Seals for exactly these services, whatever the channel's own recipients are: for tests of consumers. `channel` may be
   * left out where only one is sealed. JSON (any payload that is no text and no bytes) has its content type.
   *
   * @throws what `sealer.sealSync` throws
   */
  sealFor(names: string | readonly string[], payload: Payload, options?: SealForOptions): SealedMessage
  close(): void
  [Symbol.dispose](): void
}

/** Makes a service for each name, each with a fresh key. */
export async function createTestServices(channels: Channels, names: readonly string[], options: TestServicesOptions = {}): Promise<TestServices> {
  const { key, ...sealing } = options
  const made = await Promise.all(names.map((name) => createTestService(name, key === undefined ? {} : { key })))
  const services = new Map(made.map((service) => [service.name, service]))
  const named = (name: string): TestService => {
    const service = services.get(name)
    if (!service) throw new RangeError(`there is no test service ${JSON.stringify(name)}`)
    return service
  }
  const directory = directoryOf(services)
  const sealer = createSealer({ directory, channels, ...sealing })

  return {
    directory,
    sealer,
    named,
    opener: (name, opening) => named(name).opener(channels, opening),
    rotate: (name) => named(name).rotate(),
    sealFor(to, payload, { channel = soleChannel(channels), ...rest } = {}): SealedMessage {
      const recipients = [to].flat()
      for (const name of recipients) named(name)
      const { bytes, contentType } = encodePayload(payload)
      const special = createSealer({ directory, channels: addressed(channels, recipients), ...sealing })
      try {
        return special.sealSync(bytes, { channel, ...(contentType !== undefined && { contentType }), ...rest })
      } finally {
        special.close()
      }
    },
    close: () => sealer.close(),
    [Symbol.dispose]: () => sealer.close(),
  }
}

/** Always the key in use now, and the same object for as long as that is the same. */
function directoryOf(services: ReadonlyMap<string, TestService>): RecipientDirectory {
  const known = new Map<string, { readonly kid: string | undefined; readonly directory: RecipientDirectory }>()
  const peek: RecipientDirectory['peek'] = (name) => {
    const jwk = services.get(name)?.publicJwk()
    const last = known.get(name)
    const current = last && last.kid === jwk?.kid ? last : { kid: jwk?.kid, directory: createStaticDirectory(jwk ? { [name]: jwk } : {}) }
    known.set(name, current)
    return current.directory.peek(name)
  }
  return {
    peek,
    async resolve(name) {
      const key = peek(name)
      if (!key) throw new RangeError(`there is no test service ${JSON.stringify(name)}`)
      return key
    },
  }
}

/** The same channels, with other recipients. */
function addressed(channels: Channels, to: readonly string[]): Channels {
  const withRecipients = (channel: Channel): Channel => ({ ...channel, to })
  return { names: channels.names, get: (name) => withRecipients(channels.get(name)), at: (destination) => withRecipients(channels.at(destination)) }
}

function soleChannel(channels: Channels): string {
  const [name, ...more] = channels.names.filter((each) => !channels.get(each).plaintext)
  if (name === undefined || more.length > 0) throw new TypeError('`channel` is needed: there is not exactly one sealed channel')
  return name
}
