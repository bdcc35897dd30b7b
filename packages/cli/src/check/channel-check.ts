import { type Channels, isSealbusError, type RecipientDirectory } from '@sealbus/core'

export interface RecipientCheck {
  readonly recipient: string
  /** The key that would be sealed for now. */
  readonly key?: { readonly kid: string; readonly alg: string; readonly thumbprint: string; readonly expires: string | undefined }
  readonly problem?: { readonly code: string; readonly message: string }
}

export interface ChannelCheck {
  readonly channel: string
  /** `dynamic`: a function chooses the recipients of each message. */
  readonly state: 'sealed' | 'plaintext' | 'dynamic'
  readonly accept: 'sealed' | 'sealed-or-plain' | undefined
  readonly recipients: readonly RecipientCheck[]
}

/** Asks the directory for the key of each recipient, once, all at the same time. */
export async function checkChannels(channels: Channels, directory: RecipientDirectory): Promise<ChannelCheck[]> {
  const asked = new Map<string, Promise<RecipientCheck>>()
  const check = (recipient: string): Promise<RecipientCheck> => {
    const known = asked.get(recipient) ?? checkRecipient(recipient, directory)
    asked.set(recipient, known)
    return known
  }
  return Promise.all(channels.names.map(async (name): Promise<ChannelCheck> => {
    const { plaintext, to, accept } = channels.get(name)
    if (plaintext) return { channel: name, state: 'plaintext', accept: undefined, recipients: [] }
    if (typeof to === 'function') return { channel: name, state: 'dynamic', accept, recipients: [] }
    return { channel: name, state: 'sealed', accept, recipients: await Promise.all(to.map(check)) }
  }))
}

async function checkRecipient(recipient: string, directory: RecipientDirectory): Promise<RecipientCheck> {
  try {
    const { kid, alg, thumbprint, notAfter } = await directory.resolve(recipient)
    return { recipient, key: { kid, alg, thumbprint, expires: notAfter === undefined ? undefined : new Date(notAfter).toISOString() } }
  } catch (error) {
    // A directory of the application's own may throw anything.
    const problem = isSealbusError(error) ? { code: error.code, message: error.message } : { code: 'unknown', message: 'the directory failed with an error that is none of Sealbus' }
    return { recipient, problem }
  }
}
