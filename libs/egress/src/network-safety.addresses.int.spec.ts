import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Findings, Trial } from './proving/namespace.main.js';

/**
 * The rows of the network safety table that need addresses nobody should reach: they are reached, if at all, inside a
 * network namespace where all of them lead to a honeypot. A test's name begins with its row.
 */
const NAMESPACES = [['--net'], ['--net', '--map-root-user']];
const namespace = NAMESPACES.find(
  (options) => spawnSync('unshare', [...options, 'ip', 'link', 'set', 'lo', 'up']).status === 0,
);

const FORBIDDEN: [number, string[]][] = [
  [1, ['127.0.0.1', '0.0.0.0']],
  [4, ['::1', '::']],
  [5, ['::ffff:127.0.0.1', '::ffff:169.254.169.254']],
  [6, ['::127.0.0.1']],
  [7, ['64:ff9b::a9fe:a9fe', '64:ff9b:1::1']],
  [8, ['2002:7f00:1::', '2001:0:7f00:1::']],
  [9, ['2a00:1450::5efe:7f00:1']],
  [11, ['fc00::1', 'fd00:ec2::254', 'fd20:ce::254']],
  [12, ['fec0::1', '2001:db8::1', '3fff::1', '100::1', '5f00::1']],
  [13, ['169.254.169.254', '169.254.170.2']],
  [14, ['100.100.100.200', '192.0.0.192', '168.63.129.16']],
  [15, ['10.0.0.5', '172.16.0.1', '192.168.1.1', '100.64.0.1']],
  [16, ['198.18.0.1', '192.0.2.1', '198.51.100.1', '203.0.113.1', '192.88.99.1']],
];
const addresses = FORBIDDEN.flatMap(([row, list]) => list.map((address) => [row, address] as const));

describe('network safety, addresses', () => {
  let found: Findings;

  if (namespace === undefined) {
    const why =
      'no network namespace can be made here (unshare and ip, as root): rows 1 to 26 are NOT tested';
    console.error(why);
    it('has a network namespace, where it must', () => {
      if (process.env.CI === 'true') throw new Error(why);
    });
    return;
  }

  beforeAll(async () => {
    const script = path.join(import.meta.dirname, 'proving/namespace.main.ts');
    const hooks = path.join(import.meta.dirname, '../../../tools/typescript-sources.mjs');
    const node = [
      '--experimental-transform-types',
      '--disable-warning=ExperimentalWarning',
      '--import',
      hooks,
      script,
    ];
    const all = addresses.map(([, address]) => address);
    const { stdout } = await promisify(execFile)(
      'unshare',
      [...namespace, process.execPath, ...node, ...all],
      { timeout: 60_000 },
    );
    found = JSON.parse(stdout) as Findings;
  }, 70_000);

  const trialOf = (name: string): Trial => found.trials[name] as Trial;

  it('reaches a public address, over the same road', () => {
    expect(trialOf('public')).toEqual({ outcome: '200', hits: ['93.184.215.14'] });
  });

  it.each(addresses)('%i: %s is not reached, though it answers', (_, address) => {
    const { literal, named, unguarded } = found.forbidden[address] ?? {};
    expect(literal).toEqual({ outcome: 'blocked_address', hits: [] });
    expect(named).toEqual({ outcome: 'blocked_address', hits: [] });
    expect(unguarded).toEqual({ outcome: 'connected', hits: [expect.any(String)] });
  });

  it.each([
    '20 nip.io',
    '21 public and private A',
    '22 public A, mapped AAAA',
    '23 after rebinding',
    '24 alias of a private name',
    '24 64 kB of addresses, the last one private',
    '37 denied: 93.184.215.14',
    '37 denied: example.com',
    '65 not to B',
  ])('%s is blocked', (name) => {
    expect(trialOf(name)).toEqual({ outcome: 'blocked_address', hits: [] });
  });

  it.each(['24 alias of itself', '25 NXDOMAIN', '25 SERVFAIL', '25 no answer'])(
    '%s is a failure of dns',
    (name) => {
      expect(trialOf(name)).toEqual({ outcome: 'dns', hits: [] });
    },
  );

  it.each([
    ['23 before rebinding', '200', '93.184.215.14'],
    ['26 the 8th of 8 addresses listens', '200', '93.184.215.14'],
    ['65 allowed to A', '200', '10.1.0.5'],
  ])('%s: %s', (name, outcome, address) => {
    expect(trialOf(name)).toEqual({ outcome, hits: [address] });
  });

  it('26 the 500th of 500 addresses is not tried', () => {
    expect(trialOf('26 the 500th of 500 addresses listens')).toEqual({ outcome: 'connection', hits: [] });
  });

  it('54 SYN dropped is a failure to connect in time', () => {
    expect(trialOf('54 SYN dropped')).toEqual({ outcome: 'connect_timeout', hits: [] });
  });
});
