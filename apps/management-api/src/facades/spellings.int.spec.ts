import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { RestClient, TenantClient } from '@posthaste/test-kit';
import fc from 'fast-check';
import { startTestBed, type TestBed } from '../proving/test-bed.js';
import { facadeOfUrl, routedUrl } from './facade-of.js';

// A path may be written in more than one way, and find-my-way knows them all. However it is written, a facade's is
// answered, refused, limited and authenticated as that product's.

jest.setTimeout(60_000);

const LIMIT = 40;

let bed: TestBed;
let tenant: TenantClient;
let client: RestClient;

beforeAll(async () => {
  bed = await startTestBed({ env: { ADA_RATE_LIMITS: `${LIMIT}/day` } });
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
  client = await bed.api.accountClient(tenant, 'acme');
});
afterAll(() => bed.stop());

interface Said {
  status: number;
  head: string;
  body: unknown;
}

/** On a socket of its own: clients tidy up what they are asked to send. */
async function said(target: string, headers: Record<string, string>, method = 'GET'): Promise<Said> {
  const { hostname, port } = new URL(bed.api.url);
  const socket = connect(Number(port), hostname);
  const lines = Object.entries({ host: 'x', connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.write(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`);
  await once(socket, 'close');
  const [head = '', body = ''] = text.split('\r\n\r\n');
  const json = body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1);
  return { status: Number(head.split(' ')[1]), head: head.toLowerCase(), body: json && JSON.parse(json) };
}

/** The same path, as `web%68ooks`, with a fragment, as a proxy is asked, and all of it. */
function spellingsOf(path: string): string[] {
  const escaped = path.replace('webhooks', 'web%68ooks');
  const wholly = path.replace(/[a-z0-9]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
  return [
    path,
    escaped,
    wholly,
    `${path}#x`,
    `http://elsewhere.example${path}`,
    `HTTP://e.example${escaped}#/`,
  ];
}

const ada = { errors: [{ type: expect.any(String), message: expect.any(String), details: null }] };
const linkup = (action: string) => ({
  success: false,
  error: { code: expect.any(String), message: expect.any(String) },
  metadata: expect.objectContaining({ action }),
});
const middesk = { errors: [{ message: expect.any(String) }] };

describe.each<[string, string, object, object]>([
  ['/api/v2/webhooks', 'authorization', ada, ada],
  ['/v2/webhooks', 'x-api-key', linkup('list_webhooks'), linkup('unknown')],
  ['/v1/webhooks', 'authorization', middesk, middesk],
])('%s, however it is spelt', (path, header, refusal, elsewhere) => {
  it("is refused in the product's words, and takes its key where the product has it", async () => {
    const auth = { [header]: header === 'x-api-key' ? String(client.key) : `Bearer ${client.key}` };
    for (const target of spellingsOf(path)) {
      const stranger = await said(target, {});
      expect([target, stranger.body]).toEqual([target, refusal]);
      expect(stranger.head).not.toContain('problem+json');
      expect([target, (await said(target, auth)).status]).toEqual([target, 200]);
      // No route is found for these.
      const other = target.replace(/(?=#|$)/, '/a/b/c/d');
      expect([other, (await said(other, auth)).body]).toEqual([other, elsewhere]);
    }
  });
});

it('a basic key is taken for Middesk however its path is spelt', async () => {
  const authorization = `Basic ${Buffer.from(`${client.key}:`).toString('base64')}`;
  for (const target of spellingsOf('/v1/webhooks')) {
    expect([target, (await said(target, { authorization })).status]).toEqual([target, 200]);
  }
});

it("no spelling is past Ada's limits", async () => {
  const fresh = await bed.api.accountClient(tenant, 'acme');
  const authorization = `Bearer ${fresh.key}`;
  const spellings = spellingsOf('/api/v2/webhooks');
  for (let asked = 0; asked < LIMIT; asked++) {
    const { status, head } = await said(spellings[asked % spellings.length] ?? '', { authorization });
    expect([status, head]).toEqual([
      200,
      expect.stringContaining(`ratelimit-remaining: ${LIMIT - 1 - asked}`),
    ]);
  }
  for (const target of spellings) {
    expect([target, (await said(target, { authorization })).status]).toEqual([target, 429]);
  }
});

describe('the URL as its route is known', () => {
  it.each([
    ['/api/v2/webhooks/', '/api/v2/webhooks'],
    ['/api/v2/web%68ooks/?a=%68/', '/api/v2/webhooks?a=%68/'],
    ['/api/v2/webhooks/ep_1/secret/#/?x', '/api/v2/webhooks/ep_1/secret'],
    ['/v1/accounts/', '/v1/accounts/'],
    ['/v1/accounts/a%2Fb%20c', '/v1/accounts/a%2Fb%20c'],
    ['/v1/%2565', '/v1/%2565'],
    ['/v1/%%36%35', '/v1/%%365'],
    ['/v1/%6%35', '/v1/%6%35'],
    ['/v1/%ff%zz%', '/v1/%ff%zz%'],
    ['https://x?y=/', '/?y=/'],
    ['//x/api/v2/webhooks/', '//x/api/v2/webhooks/'],
    ['*', '*'],
  ])('of %s is %s', (url, routed) => {
    expect(routedUrl(url)).toBe(routed);
  });

  it('is the same for every way to escape it', () => {
    const paths = fc.constantFrom('/api/v2/webhooks', '/v2/webhooks/x/stream', '/v1/webhooks/oidc_keys');
    const escapes = fc.infiniteStream(fc.constantFrom('as it is', 'lower', 'upper'));
    fc.assert(
      fc.property(paths, escapes, (path, stream) => {
        const spelt = path.replace(/[^/]/g, (one) => {
          const hex = `%${one.charCodeAt(0).toString(16)}`;
          const way = stream.next().value as string;
          return way === 'as it is' ? one : way === 'lower' ? hex : hex.toUpperCase();
        });
        expect(routedUrl(spelt)).toBe(path);
        expect(facadeOfUrl(routedUrl(spelt))).toBeDefined();
      }),
    );
  });
});
