import { describe, expect, it } from 'vitest'
import { isPermitted } from '../../src/jwks/address.ts'

describe('[7.7] addresses that are never connected to', () => {
  it.each([
    '169.254.169.254', '169.254.170.2', '100.100.100.200', '168.63.129.16', '192.0.0.192', '0.0.0.0', '0.1.2.3', '224.0.0.1', '255.255.255.255',
    '::', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'ff02::1', 'fd00:ec2::254', 'fd20:ce::254',
    '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::ffff:0.0.0.0', '64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::1', '::a9fe:a9fe',
    'not an address', '', '169.254.169.254.nip.io',
  ])('%s, whatever is allowed', (address) => {
    expect(isPermitted(address, true)).toBe(false)
    expect(isPermitted(address, false)).toBe(false)
  })

  it.each(['127.0.0.1', '127.255.255.255', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '64:ff9b::7f00:1', '2002:7f00:1::', '::7f00:1'])('%s, unless loopback is allowed', (address) => {
    expect(isPermitted(address, false)).toBe(false)
    expect(isPermitted(address, true)).toBe(true)
  })

  it.each(['10.0.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1', '8.8.8.8', '169.253.255.255', '169.255.0.1', '128.0.0.1', '126.255.255.255', 'fd12:3456::1', '2606:4700::1111', '::ffff:10.1.2.3', '64:ff9b::808:808'])('%s may be asked: internal endpoints are the usual case', (address) => {
    expect(isPermitted(address, false)).toBe(true)
  })
})
