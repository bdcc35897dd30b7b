import { describe, expect, it } from 'vitest'
import { markOpened, opened, type Opened, openedEnvelope, rememberEnvelope } from '../src/opened.ts'

const FACTS: Opened = { id: 'm-1', time: new Date(0), channel: 'orders', kid: 'k', sender: undefined, inReplyTo: undefined, envelope: Buffer.from('{}') }

describe('opened', () => {
  it('gives the facts of the very object, and of a copy made by spreading', () => {
    const message = markOpened({ value: 'x' }, FACTS)
    expect(message.value).toBe('x')
    expect(opened(message)).toEqual(FACTS)
    expect(opened({ ...message })).toBe(opened(message))
  })

  it('nothing but the facts is kept of what was opened', () => {
    const openedMessage = { ...FACTS, plaintext: Buffer.from('secret'), contentType: 'text/plain', contentEncoding: undefined }
    expect(Object.keys(opened(markOpened({}, openedMessage)) ?? {})).toEqual(Object.keys(FACTS))
  })

  it('works across two copies of the package', () => {
    expect(opened({ [Symbol.for('sealbus.opened')]: FACTS })).toBe(FACTS)
  })

  it.each([undefined, null, 'facts', 7, () => FACTS])('is undefined for a message that was not opened: %o', (mark) => {
    expect(opened({})).toBeUndefined()
    expect(opened({ [Symbol.for('sealbus.opened')]: mark })).toBeUndefined()
  })
})

describe('an opened envelope', () => {
  it('is this object and no copy, and says the last that was learnt of it', () => {
    const envelope = Buffer.from('{}')
    expect(openedEnvelope(envelope)).toBeUndefined()
    rememberEnvelope(envelope, { channel: 'orders', id: '1' })
    rememberEnvelope(envelope, { channel: 'orders', id: '2' })
    expect(openedEnvelope(envelope)).toEqual({ channel: 'orders', id: '2' })
    for (const other of [Buffer.from(envelope), 'text', null, {}]) expect(openedEnvelope(other)).toBeUndefined()
  })
})
