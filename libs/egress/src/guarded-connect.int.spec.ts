import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { parseEgressPolicy } from './address-rules.js';
import { failureOf } from './failure.js';
import { newFacts } from './connection-facts.js';
import { dnsLookup } from './dns-lookup.js';
import { guardedConnector } from './guarded-connect.js';
import { NameServer } from './proving/name-server.js';

type Connected = { reached: string } | { failed: string; message: string };

/** A connection is real: the names are asked of a name server, and reaching a forbidden address would be counted. */
describe('a guarded connection', () => {
  let names: NameServer;
  let server: Server;
  let port: number;
  let reached = 0;
  const sockets = new Set<Socket>();

  beforeAll(async () => {
    names = await NameServer.start({});
    server = createServer((socket) => {
      reached++;
      sockets.add(socket.on('close', () => sockets.delete(socket)).on('error', () => undefined));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  beforeEach(() => {
    reached = 0;
    names.asked.clear();
  });
  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    await names.stop();
  });

  function connect(hostname: string, allow = '127.0.0.1', connectTimeoutMs = 5_000): Promise<Connected> {
    const lookup = dnsLookup([names.address]);
    const connector = guardedConnector({ policy: parseEgressPolicy(allow), lookup, connectTimeoutMs });
    const target = { hostname, host: hostname, protocol: 'http:', port: String(port) };
    return new Promise((resolve) => {
      connector(target, newFacts(), (error, socket) => {
        if (error !== null) {
          const failure = failureOf(error);
          resolve({ failed: failure.class, message: failure.message });
          return;
        }
        resolve({ reached: socket.remoteAddress ?? '' });
        socket.destroy();
      });
    });
  }

  it('goes where the name says, asking once, to the very address that was checked', async () => {
    names.zone['good.test'] = { addresses: ['127.0.0.1'] };
    await expect(connect('good.test')).resolves.toEqual({ reached: '127.0.0.1' });
    // One question for A, one for AAAA: a second look-up could answer otherwise than the one that was checked.
    expect(names.asked.get('good.test')).toBe(2);
  });

  it.each([
    ['a loopback address', ['127.0.0.1'], '10.0.0.0/8'],
    ['a private address', ['10.0.0.1'], '127.0.0.1'],
    ['an allowed and a private address', ['127.0.0.1', '10.0.0.1'], '127.0.0.1'],
    ['an allowed address and, in AAAA, a mapped one', ['127.0.0.1', '::ffff:169.254.169.254'], '127.0.0.1'],
    ['a mapped loopback address', ['::ffff:127.0.0.1'], '10.0.0.0/8'],
    ['an allowed address and NAT64 of loopback', ['127.0.0.1', '64:ff9b::7f00:1'], '127.0.0.1,::/0'],
    ['an allowed address and 6to4 of loopback', ['127.0.0.1', '2002:7f00:1::'], '127.0.0.1,::/0'],
    ['a metadata service', ['169.254.169.254'], '0.0.0.0/0,::/0'],
    ['any address of this host', ['0.0.0.0'], '127.0.0.1'],
    [
      'many addresses, the last one private',
      [...Array<string>(29).fill('127.0.0.1'), '10.0.0.1'],
      '127.0.0.1',
    ],
  ])('is refused to a name with %s', async (_, addresses, allow) => {
    names.zone['bad.test'] = { addresses };
    await expect(connect('bad.test', allow)).resolves.toMatchObject({ failed: 'blocked_address' });
    expect(reached).toBe(0);
  });

  it('is refused to a name whose alias ends at a private address', async () => {
    names.zone['alias.test'] = { alias: 'inside.test', addresses: ['10.0.0.1'] };
    await expect(connect('alias.test')).resolves.toMatchObject({ failed: 'blocked_address' });
  });

  it('is judged anew each time: a name that changes its mind is refused', async () => {
    names.zone['rebinding.test'] = { addresses: ['127.0.0.1'] };
    await expect(connect('rebinding.test')).resolves.toEqual({ reached: '127.0.0.1' });
    names.zone['rebinding.test'] = { addresses: ['169.254.169.254'] };
    await expect(connect('rebinding.test')).resolves.toMatchObject({ failed: 'blocked_address' });
    expect(reached).toBe(1);
  });

  it.each(['127.0.0.1', '169.254.169.254', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::'])(
    'is refused to the literal %s, which no look-up would see',
    async (literal) => {
      await expect(connect(literal, '10.0.0.0/8')).resolves.toMatchObject({ failed: 'blocked_address' });
      expect(reached).toBe(0);
    },
  );

  it('fails as dns for names that do not exist, have no address, or whose servers fail', async () => {
    names.zone['empty.test'] = { addresses: [] };
    names.zone['broken.test'] = 'SERVFAIL';
    const missing = await connect('missing.test');
    expect(missing).toMatchObject({ failed: 'dns' });
    expect('message' in missing && missing.message).toContain('ENOTFOUND');
    await expect(connect('empty.test')).resolves.toMatchObject({ failed: 'dns' });
    const broken = await connect('broken.test');
    expect(broken).toMatchObject({ failed: 'dns' });
    expect('message' in broken && broken.message).toContain('ESERVFAIL');
  });

  it('gives up on a name server that never answers', async () => {
    names.zone['silent.test'] = 'silent';
    await expect(connect('silent.test', '127.0.0.1', 300)).resolves.toMatchObject({
      failed: 'dns',
    });
  });

  it('tries the next of the addresses that were checked', async () => {
    names.zone['two.test'] = { addresses: ['127.0.0.2', '127.0.0.1'] };
    await expect(connect('two.test', '127.0.0.0/8')).resolves.toEqual({ reached: '127.0.0.1' });
  });

  it('never tells addresses', async () => {
    names.zone['bad.test'] = { addresses: ['10.9.8.7'] };
    names.zone['refused.test'] = { addresses: ['127.0.0.77'] };
    const failures = [await connect('bad.test'), await connect('refused.test', '127.0.0.0/8')];
    expect(failures).toMatchObject([{ failed: 'blocked_address' }, { failed: 'connection' }]);
    for (const failed of failures) {
      expect(JSON.stringify(failed)).not.toMatch(/10\.9\.8\.7|127\.0/);
    }
  });
});
