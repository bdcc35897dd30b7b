import { describe, expect, it } from 'vitest'
import { isHostPattern, urlProblem } from '../../src/jwks/url-policy.ts'

const problem = (url: string, hosts?: readonly string[], allowInsecureLoopback = false): string | undefined => urlProblem(url, { hosts, allowInsecureLoopback })

describe('[7.7] URLs', () => {
  it.each(['https://keys.example/jwks.json', 'https://keys.example:8443/?tenant=7', 'https://KEYS.example./'])('%s may be asked', (url) => {
    expect(problem(url)).toBeUndefined()
    expect(problem(url, ['keys.example'])).toBeUndefined()
  })

  it.each([
    ['jwks.json', 'its URL cannot be parsed'],
    ['https://user@keys.example/', 'its URL holds credentials'],
    ['https://:pw@keys.example/', 'its URL holds credentials'],
    ['https://keys.example/#keys', 'its URL has a fragment'],
    ['http://keys.example/', 'its URL is not https (http is for loopback hosts, with `allowInsecureLoopback`)'],
    ['ftp://keys.example/', 'its URL is not https (http is for loopback hosts, with `allowInsecureLoopback`)'],
    ['file:///etc/passwd', 'its URL is not https (http is for loopback hosts, with `allowInsecureLoopback`)'],
    ['data:application/json,{}', 'its URL is not https (http is for loopback hosts, with `allowInsecureLoopback`)'],
  ])('%s: %s', (url, reason) => {
    expect(problem(url, undefined, true)).toBe(reason)
  })

  it.each(['https://127.0.0.1/', 'https://2130706433/', 'https://0x7f.1/', 'https://127.1/', 'https://0177.0.0.1/', 'https://[::1]/', 'https://[::ffff:127.0.0.1]/', 'https://localhost/', 'https://localhost./', 'https://LOCALHOST/'])('%s, however it is spelt, is on this machine', (url) => {
    expect(problem(url)).toContain('allowInsecureLoopback')
    expect(problem(url, ['localhost', '127.0.0.1', '::1'])).toContain('allowInsecureLoopback')
    expect(problem(url, undefined, true)).toBeUndefined()
    expect(problem(url.replace('https', 'http'), undefined, true)).toBeUndefined()
    expect(problem(url, [], true)).toBeUndefined()
  })

  it.each(['https://169.254.169.254/', 'https://2852039166/', 'https://0xa9fea9fe/', 'https://[fe80::1]/', 'https://[::ffff:169.254.169.254]/', 'https://0.0.0.0/', 'https://0/'])('%s is never asked, though it stands in `hosts`', (url) => {
    const host = new URL(url).hostname.replace(/[[\]]/g, '')
    expect(problem(url, [host], true)).toBe('its URL has an address that is never asked')
  })

  it('an IP address is refused unless it stands in `hosts`', () => {
    expect(problem('https://10.1.2.3/')).toBe('its URL has an IP address: name it in `hosts` to allow it')
    expect(problem('https://[fd00::1]/')).toBe('its URL has an IP address: name it in `hosts` to allow it')
    expect(problem('https://10.1.2.3/', ['10.1.2.3'])).toBeUndefined()
    expect(problem('https://[fd00::1]/', ['fd00::1'])).toBeUndefined()
    expect(problem('https://10.1.2.4/', ['10.1.2.3'])).toBe('its host "10.1.2.4" is not among `hosts`')
  })

  it.each([
    ['keys.example', 'keys.example', true],
    ['keys.example', 'other.keys.example', false],
    ['keys.example', 'keys.example.evil', false],
    ['*.svc.internal', 'billing.svc.internal', true],
    ['*.svc.internal', 'a.b.svc.internal', true],
    ['*.svc.internal', 'svc.internal', false],
    ['*.svc.internal', 'evilsvc.internal', false],
  ])('`hosts` %s and %s: %s', (pattern, host, allowed) => {
    expect(problem(`https://${host}/`, [pattern]) === undefined).toBe(allowed)
  })

  it.each(['keys.example', '*.keys.example', '10.0.0.1', 'fd00::1', 'a'])('%s is a host', (pattern) => expect(isHostPattern(pattern)).toBe(true))
  it.each(['', '*', '*.', 'KEYS.example', 'https://keys.example', 'keys.example/', 'keys.*', '.example', 7])('%j is none', (pattern) => expect(isHostPattern(pattern)).toBe(false))
})
