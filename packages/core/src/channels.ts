import { SealbusError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { isText } from './text.ts'

/** What a `to` function may look at to choose recipients. */
export interface Outgoing {
  readonly channel: string
  readonly key?: Buffer | string | null
  readonly headers?: Readonly<Record<string, unknown>>
  readonly contentType?: string
}

/** The declaration of one channel that carries sealed messages. */
export interface ChannelDeclaration {
  /** Recipients' names, or a pure function that chooses them; none is an error before anything is sent. */
  readonly to: readonly string[] | ((message: Outgoing) => readonly string[])
  /** Topics, queues and exchanges that carry this channel: exact names or patterns. Default: the channel's own name. */
  readonly match?: readonly (string | RegExp)[]
  /** `sealed-or-plain` is for migration only. Default `sealed`. */
  readonly accept?: 'sealed' | 'sealed-or-plain'
  /** Whether envelopes of other JOSE libraries, which carry no context, are opened. Default false. */
  readonly foreign?: boolean
  /** What of a message's surroundings is authenticated with it. */
  readonly bind?: {
    /** Bind the record key's hash, and check it. Default true. */
    readonly key?: boolean
    /** Headers to bind when sealing, and to require when opening. Default none. */
    readonly headers?: readonly string[]
  }
  /** Compress before sealing. Off by default: lengths then tell something about contents. */
  readonly compress?: 'gzip' | 'zstd'
}

/** Channel name to its declaration; `'plaintext'` names a destination that stays plain. */
export type ChannelDeclarations = Readonly<Record<string, 'plaintext' | ChannelDeclaration>>

/** A channel as declared, with its defaults filled in. */
export interface Channel {
  readonly name: string
  readonly plaintext: boolean
  readonly to: readonly string[] | ((message: Outgoing) => readonly string[])
  readonly accept: 'sealed' | 'sealed-or-plain'
  readonly foreign: boolean
  readonly bindKey: boolean
  readonly bindHeaders: readonly string[]
  readonly compress?: 'gzip' | 'zstd'
}

/** All channels of a system: declared once, shared by sealers and openers. */
export interface Channels {
  readonly names: readonly string[]
  /** @throws ERR_SEALBUS_UNDECLARED_CHANNEL */
  get(name: string): Channel
  /**
   * The channel that a topic, queue or exchange carries.
   * @throws ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_AMBIGUOUS_CHANNEL
   */
  at(destination: string): Channel
}

/**
 * Checks and freezes a declaration of channels.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION for a malformed declaration, ERR_SEALBUS_NO_RECIPIENTS for an empty `to`,
 *   ERR_SEALBUS_AMBIGUOUS_CHANNEL when one exact name falls in two channels (patterns are checked at first use).
 */
export function defineChannels(declarations: ChannelDeclarations): Channels {
  const channels = new Map<string, Channel>()
  const exact = new Map<string, Channel>()
  const patterns: { pattern: RegExp; channel: Channel }[] = []
  for (const [name, declaration] of Object.entries(declarations)) {
    const channel = normalize(name, declaration)
    channels.set(name, channel)
    const match = declaration === 'plaintext' ? undefined : declaration.match
    for (const matcher of match ?? [name]) {
      if (matcher instanceof RegExp) {
        // `g` and `y` make test() stateful: the same name would match every other time.
        patterns.push({ pattern: new RegExp(matcher.source, matcher.flags.replace(/[gy]/g, '')), channel })
        continue
      }
      if (typeof matcher !== 'string' || matcher === '') throw invalid(name, '`match` holds names and regular expressions')
      const other = exact.get(matcher)
      if (other && other !== channel) throw ambiguous(matcher, [other.name, name])
      exact.set(matcher, channel)
    }
  }

  /** Destinations already resolved; bounded, because a consumer by pattern may see any number of topics. */
  const resolved = new Map<string, Channel>()
  return Object.freeze({
    names: Object.freeze([...channels.keys()]),
    get(name: string): Channel {
      const channel = channels.get(name)
      if (!channel) throw new SealbusError('ERR_SEALBUS_UNDECLARED_CHANNEL', `channel ${quote(name)} is not declared`)
      return channel
    },
    at(destination: string): Channel {
      const known = resolved.get(destination)
      if (known) return known
      const candidates = new Set<Channel>()
      const byName = exact.get(destination)
      if (byName) candidates.add(byName)
      for (const { pattern, channel } of patterns) if (pattern.test(destination)) candidates.add(channel)
      const [channel, ...others] = candidates
      if (!channel) {
        throw new SealbusError('ERR_SEALBUS_UNDECLARED_CHANNEL', `no channel is declared for ${quote(destination)}: add it to the channels, or to a channel's \`match\``)
      }
      if (others.length > 0) throw ambiguous(destination, [channel, ...others].map((each) => each.name))
      if (resolved.size >= LIMITS.resolvedDestinations) resolved.clear()
      resolved.set(destination, channel)
      return channel
    },
  })
}

function normalize(name: string, declaration: 'plaintext' | ChannelDeclaration): Channel {
  if (!isText(name, LIMITS.channelNameLength)) throw invalid(name, `a channel's name is a text of 1 to ${LIMITS.channelNameLength} characters`)
  if (declaration === 'plaintext') {
    return Object.freeze({ name, plaintext: true, to: Object.freeze([]), accept: 'sealed', foreign: false, bindKey: false, bindHeaders: Object.freeze([]) })
  }
  if (typeof declaration !== 'object' || declaration === null) throw invalid(name, "a channel is 'plaintext' or an object with `to`")
  for (const member of Object.keys(declaration)) {
    // A misspelt option must not silently mean its default.
    if (!MEMBERS.has(member)) throw invalid(name, `${quote(member)} is not an option of a channel`)
  }
  const { to, match, accept = 'sealed', foreign = false, bind = {}, compress } = declaration
  if (typeof to !== 'function') {
    if (!Array.isArray(to)) throw invalid(name, '`to` is a list of names or a function')
    checkRecipients(name, to)
  }
  if (match !== undefined && (!Array.isArray(match) || match.length === 0)) throw invalid(name, '`match` is a list that is not empty')
  if (accept !== 'sealed' && accept !== 'sealed-or-plain') throw invalid(name, "`accept` is 'sealed' or 'sealed-or-plain'")
  if (typeof foreign !== 'boolean') throw invalid(name, '`foreign` is a boolean')
  if (compress !== undefined && compress !== 'gzip' && compress !== 'zstd') throw invalid(name, "`compress` is 'gzip' or 'zstd'")
  if (typeof bind !== 'object' || bind === null) throw invalid(name, '`bind` is an object')
  for (const member of Object.keys(bind)) if (member !== 'key' && member !== 'headers') throw invalid(name, `${quote(member)} is not an option of \`bind\``)
  const { key = true, headers = [] } = bind
  if (typeof key !== 'boolean') throw invalid(name, '`bind.key` is a boolean')
  if (!Array.isArray(headers) || !headers.every((header) => isText(header))) throw invalid(name, '`bind.headers` is a list of names')
  return Object.freeze({
    name,
    plaintext: false,
    to: typeof to === 'function' ? to : Object.freeze([...to]),
    accept,
    foreign,
    bindKey: key,
    bindHeaders: Object.freeze([...headers]),
    ...(compress && { compress }),
  })
}

const MEMBERS = new Set(['to', 'match', 'accept', 'foreign', 'bind', 'compress'])

/** The recipients of one message: at least one, each a name, none twice. Also for what a `to` function returned. */
export function checkRecipients(channel: string, names: readonly string[]): void {
  if (!Array.isArray(names) || names.length === 0) {
    throw new SealbusError('ERR_SEALBUS_NO_RECIPIENTS', `channel ${quote(channel)} has no recipients: nothing is sent`)
  }
  if (names.length > LIMITS.recipients) throw invalid(channel, `at most ${LIMITS.recipients} recipients, not ${names.length}`)
  for (const name of names) if (!isText(name)) throw invalid(channel, "a recipient's name is a text that is not empty")
  if (new Set(names).size !== names.length) throw invalid(channel, '`to` names a recipient twice')
}

const invalid = (channel: string, reason: string): SealbusError =>
  new SealbusError('ERR_SEALBUS_INVALID_OPTION', `channel ${quote(channel)}: ${reason}`)

const ambiguous = (destination: string, names: readonly string[]): SealbusError =>
  new SealbusError('ERR_SEALBUS_AMBIGUOUS_CHANNEL', `${quote(destination)} falls in several channels: ${names.map(quote).join(', ')}`)

const quote = (name: unknown): string => JSON.stringify(String(name).slice(0, 80))
