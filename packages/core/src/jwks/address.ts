import { BlockList, isIP } from 'node:net'

/**
 * Addresses that no key endpoint has, and that must never be asked on somebody's behalf: clouds answer with credentials
 * there. IPv4 addresses inside IPv6 ones count as what they are; a BlockList sees through `::ffff:` by itself.
 */
const NEVER = blocks(
  // "This network", link-local with the metadata services of most clouds, protocol assignments (Oracle's is in there), multicast, reserved.
  ['0.0.0.0', 8], ['169.254.0.0', 16], ['192.0.0.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
  // Metadata and platform services of Alibaba and Azure.
  ['100.100.100.200', 32], ['168.63.129.16', 32],
  // Unspecified, link-local, multicast; metadata of AWS and Google.
  ['::', 128], ['fe80::', 10], ['ff00::', 8], ['fd00:ec2::', 32], ['fd20:ce::254', 128],
  // 169.254.0.0/16 behind NAT64, 6to4, and in the compatible form.
  ['64:ff9b::a9fe:0', 112], ['2002:a9fe::', 32], ['::a9fe:0', 112],
)

const LOOPBACK = blocks(['127.0.0.0', 8], ['::1', 128], ['64:ff9b::7f00:0', 104], ['2002:7f00::', 24], ['::7f00:0', 104])

function blocks(...subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList()
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, isIP(net) === 6 ? 'ipv6' : 'ipv4')
  return list
}

const within = (list: BlockList, address: string): boolean => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

export const isLoopback = (address: string): boolean => within(LOOPBACK, address)

/** Whether a connection may go there. A private address is fine: internal key endpoints are the usual case. */
export function isPermitted(address: string, allowLoopback: boolean): boolean {
  // A zone (`fe80::1%eth0`) is no part of the address; it is link-local anyway.
  const bare = address.split('%', 1)[0] ?? address
  return isIP(bare) !== 0 && !within(NEVER, bare) && (allowLoopback || !isLoopback(bare))
}
