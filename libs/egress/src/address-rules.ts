import { BlockList, isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Which addresses may be called. Public unicast only, unless the operator's allow list says otherwise; metadata
 * services and addresses that tunnel to an IPv4 address are refused whatever is allowed, and so is what the operator
 * denies: our own names and addresses are public, too.
 *
 * `ipaddr.js` alone calls several dangerous ranges unicast (IPv4-compatible, ISATAP, parts outside 2000::/3), and a
 * list of ours alone would miss a range it knows: both must agree.
 */
export interface EgressPolicy {
  /** What the operator wrote. */
  readonly text: string;
  readonly allow: AddressRanges;
  readonly deny: AddressRanges;
  /** Each with every name below it. */
  readonly denyNames: readonly string[];
}

/** One list per family: a `BlockList` finds IPv4 addresses in IPv6 ranges such as ::/0 by their mapped form. */
interface AddressRanges {
  ipv4: BlockList;
  ipv6: BlockList;
}

/** Cloud metadata and platform services (AWS, Azure, GCP, Alibaba, Oracle): reachable credentials. */
const METADATA = [
  '169.254.0.0/16',
  '100.100.100.200/32',
  '192.0.0.192/32',
  '168.63.129.16/32',
  'fd00:ec2::/32',
  'fd20:ce::/32',
];
/** Forms that carry an IPv4 address inside: allowing one would allow what is inside it unseen. */
const TUNNELS = ['::/96', '64:ff9b::/96', '64:ff9b:1::/48', '2001::/32', '2002::/16', '::ffff:0:0:0/96'];

const RESERVED = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // IPv6: everything outside global unicast (2000::/3), and what is reserved inside it.
  '::/3',
  '4000::/2',
  '8000::/1',
  '2001:db8::/32',
  '3fff::/20',
];

/** Its last label has a letter, which no address's has. */
const HOST_NAME = /^([a-z0-9_-]+\.)*[a-z0-9-]*[a-z][a-z0-9-]*$/i;

const never = addressRanges([...METADATA, ...TUNNELS]);
const reserved = addressRanges(RESERVED);

/**
 * Reads `CIDR[,CIDR]` (an address alone is itself), of what is denied also names; throws on anything else. Empty allows
 * nothing beyond the public, and denies nothing of it.
 */
export function parseEgressPolicy(allow: string, deny = ''): EgressPolicy {
  const [allowed, denied] = [entriesOf(allow), entriesOf(deny)];
  const denyNames = denied.filter((entry) => HOST_NAME.test(entry)).map((name) => name.toLowerCase());
  return {
    text: `${allowed.join(',')} but not ${denied.join(',')}`,
    allow: addressRanges(allowed),
    deny: addressRanges(denied.filter((entry) => !HOST_NAME.test(entry))),
    denyNames,
  };
}

function entriesOf(text: string): string[] {
  const entries = text.split(',').map((entry) => entry.trim());
  return entries.filter((entry) => entry !== '');
}

/** True for a name or a literal address the operator denies by itself; a name's addresses are judged at connect. */
export function isDeniedHost(host: string, policy: EgressPolicy): boolean {
  if (isIP(host) !== 0) return includes(policy.deny, ipaddr.process(host).toString());
  return policy.denyNames.some((name) => host === name || host.endsWith(`.${name}`));
}

/** Why the address may not be called, in a word; null when it may. `address` is an IPv4 or IPv6 literal. */
export function addressProblem(address: string, policy: EgressPolicy): string | null {
  if (isIP(address) === 0 || address.includes('%')) return 'not an address';
  const parsed = ipaddr.process(address);
  const plain = parsed.toString();
  if (includes(never, plain)) return 'metadata or tunnel';
  if (includes(policy.deny, plain)) return 'denied';
  if (includes(policy.allow, plain)) return null;
  if (parsed.kind() === 'ipv6' && isIsatap(parsed as ipaddr.IPv6)) return 'tunnel';
  if (parsed.range() !== 'unicast') return parsed.range();
  return includes(reserved, plain) ? 'reserved' : null;
}

/** True when the operator has allowed this literal address by name of its range. */
export function isExplicitlyAllowed(address: string, policy: EgressPolicy): boolean {
  return isIP(address) !== 0 && includes(policy.allow, ipaddr.process(address).toString());
}

function includes(ranges: AddressRanges, address: string): boolean {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  return ranges[family].check(address, family);
}

/** Interface identifier `[02]00:5efe:a.b.c.d` (RFC 5214): IPv4 inside any prefix. */
function isIsatap({ parts }: ipaddr.IPv6): boolean {
  return ((parts[4] ?? 0) & 0xfdff) === 0 && parts[5] === 0x5efe;
}

function addressRanges(cidrs: string[]): AddressRanges {
  const ranges = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const cidr of cidrs) {
    const [address = '', bits] = cidr.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const width = family === 'ipv6' ? 128 : 32;
    const prefix = bits === undefined ? width : Number(bits);
    if (isIP(address) === 0 || !/^\d{1,3}$/.test(bits ?? '0') || prefix > width) {
      throw new RangeError(`not a CIDR range: ${cidr}`);
    }
    ranges[family].addSubnet(address, prefix, family);
  }
  return ranges;
}
