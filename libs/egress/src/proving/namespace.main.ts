import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { dnsLookup } from '../dns-lookup.js';
import { type EgressResult, GuardedClient, type GuardedClientOptions, parseEgressPolicy } from '../index.js';
import { receiver } from './certificates.js';
import { HostileServer } from './hostile-server.js';
import { NameServer } from './name-server.js';

/**
 * A world of its own, to be run in a network namespace: every address there is leads to this machine, where a honeypot
 * takes every connection to port 443 and remembers at which address it came in. The policy is the default one, so that
 * nothing is let through for the test's sake.
 *
 * Prints, as JSON, what came of each case; the specs judge.
 */
export interface Trial {
  /** The class of the failure, or the status. */
  outcome: string;
  /** At which addresses connections came in meanwhile. */
  hits: string[];
}
export interface Findings {
  /** By address: called by its literal, and by a name that has it; and by somebody who checks nothing. */
  forbidden: Record<string, { literal: Trial; named: Trial; unguarded: Trial }>;
  trials: Record<string, Trial>;
}

const PUBLIC = '93.184.215.14';
const NAME = 'receiver.example.com';
const METADATA = '169.254.169.254';

for (const family of ['-4', '-6']) {
  if (family === '-4') execFileSync('ip', ['link', 'set', 'lo', 'up']);
  execFileSync('ip', [family, 'route', 'add', 'local', 'default', 'dev', 'lo']);
}
// A network with one neighbour, who takes its packets for somebody else's and says nothing.
for (const command of [
  'link add void0 type veth peer name void1',
  'addr add 93.184.200.1/24 dev void0',
  'link set void0 up',
  'link set void1 up',
  'neigh add 93.184.200.2 lladdr 02:00:00:00:00:99 dev void0',
]) {
  execFileSync('ip', command.split(' '));
}

const honeypot = await HostileServer.tls({}, undefined, { host: '::', port: 443 });
const single = await HostileServer.tls({}, undefined, { host: PUBLIC, port: 8443 });
const names = await NameServer.start({});
const clients: GuardedClient[] = [];

function newClient(own: Partial<GuardedClientOptions> = {}): GuardedClient {
  const policy = parseEgressPolicy('');
  const client = new GuardedClient({
    policy,
    lookup: dnsLookup([names.address]),
    ca: receiver.certificate,
    ...own,
  });
  clients.push(client);
  return client;
}

async function call(client: GuardedClient, url: string): Promise<string> {
  const request = { url, headers: {}, body: Buffer.from('{}'), timeoutMs: 10_000 };
  const result: EgressResult = await client.send(request);
  return result.kind === 'failed' ? result.class : String(result.status);
}

async function trial(action: () => Promise<string>): Promise<Trial> {
  const before = [honeypot.reached.length, single.reached.length];
  const outcome = await action();
  return { outcome, hits: [...honeypot.reached.slice(before[0]), ...single.reached.slice(before[1])] };
}

const resolving = (addresses: string[], host = NAME, url = `https://${host}/ok`) => {
  names.zone[host] = { addresses };
  return trial(() => call(newClient(), url));
};

/** What a client does that looks at nothing. */
function unguarded(address: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: 443 });
    socket.on('error', (error: Error & { code?: string }) => resolve(error.code ?? error.name));
    // The honeypot has seen it once it is hung up on: both sides are this process.
    socket.on('connect', () => setImmediate(() => socket.end()));
    socket.on('close', () => resolve('connected'));
    socket.resume();
  });
}

const found: Findings = { forbidden: {}, trials: {} };
for (const address of process.argv.slice(2)) {
  const literal = `https://${address.includes(':') ? `[${address}]` : address}/ok`;
  found.forbidden[address] = {
    literal: await trial(() => call(newClient(), literal)),
    named: await resolving([address]),
    unguarded: await trial(() => unguarded(address)),
  };
}

const many = (count: number, last: string) => [
  ...Array.from({ length: count - 1 }, (_, at) => `93.185.${at >> 8}.${at & 255}`),
  last,
];
const { trials } = found;
trials.public = await resolving([PUBLIC]);
trials['20 nip.io'] = await resolving(['127.0.0.1'], '127.0.0.1.nip.io');
trials['21 public and private A'] = await resolving([PUBLIC, '10.0.0.5']);
trials['22 public A, mapped AAAA'] = await resolving([PUBLIC, '::ffff:a9fe:a9fe']);
const rebound = newClient();
names.zone[NAME] = { addresses: [PUBLIC] };
trials['23 before rebinding'] = await trial(() => call(rebound, `https://${NAME}/ok-then-close`));
names.zone[NAME] = { addresses: [METADATA] };
trials['23 after rebinding'] = await trial(() => call(rebound, `https://${NAME}/ok`));
names.zone['chain.example.com'] = { alias: 'inside.example.com', addresses: ['10.0.0.5'] };
trials['24 alias of a private name'] = await trial(() => call(newClient(), 'https://chain.example.com/ok'));
names.zone['loop.example.com'] = { alias: 'loop.example.com', addresses: [] };
trials['24 alias of itself'] = await trial(() => call(newClient(), 'https://loop.example.com/ok'));
trials['24 64 kB of addresses, the last one private'] = await resolving(many(4_000, '10.0.0.5'));
trials['25 NXDOMAIN'] = await trial(() => call(newClient(), 'https://missing.example.com/ok'));
names.zone['broken.example.com'] = 'SERVFAIL';
trials['25 SERVFAIL'] = await trial(() => call(newClient(), 'https://broken.example.com/ok'));
names.zone['silent.example.com'] = 'silent';
trials['25 no answer'] = await trial(() => call(newClient(), 'https://silent.example.com/ok'));
trials['26 the 500th of 500 addresses listens'] = await resolving(
  many(500, PUBLIC),
  NAME,
  `https://${NAME}:8443/ok`,
);
trials['26 the 8th of 8 addresses listens'] = await resolving(
  many(8, PUBLIC),
  NAME,
  `https://${NAME}:8443/ok`,
);
for (const deny of [PUBLIC, 'example.com']) {
  names.zone[NAME] = { addresses: [PUBLIC] };
  const denying = newClient({ policy: parseEgressPolicy('', deny) });
  trials[`37 denied: ${deny}`] = await trial(() => call(denying, `https://${NAME}/ok`));
}
names.zone[NAME] = { addresses: ['93.184.200.2'] };
const impatient = newClient({ connectTimeoutMs: 500 });
trials['54 SYN dropped'] = await trial(() => call(impatient, `https://${NAME}/ok`));
names.zone[NAME] = { addresses: ['10.1.0.5'] };
const allowing = newClient({ policy: parseEgressPolicy('10.1.0.0/16') });
trials['65 allowed to A'] = await trial(() => call(allowing, `https://${NAME}/ok`));
trials['65 not to B'] = await trial(() => call(newClient(), `https://${NAME}/ok`));

for (const client of clients) client.close();
await Promise.all([names.stop(), honeypot.stop(), single.stop()]);
process.stdout.write(JSON.stringify(found));
