import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { OAuthClient } from '@posthaste/contracts';
import { GuardedClient, parseEgressPolicy, tokenClient, type TokenClient } from '@posthaste/egress';
import { type Answer, Receiver } from '@posthaste/test-kit';
import { TokenCache } from './token-cache.js';

let server: Receiver;
let guarded: GuardedClient;
beforeAll(async () => {
  server = await Receiver.start();
  guarded = new GuardedClient({ policy: parseEgressPolicy('127.0.0.0/8') });
});
afterAll(async () => {
  guarded.close();
  await server.stop();
});

let now: number;
let narrowed: string[];
let cache: TokenCache;
beforeEach(() => {
  now = 1_000;
  narrowed = [];
  server.requests.length = 0;
  cache = new TokenCache({
    client: guarded,
    now: () => now,
    onScopeNarrowed: (_, granted) => narrowed.push(granted),
  });
});

let paths = 0;
/** Somebody who asks a token server of their own; it answers as told, by default with token-1, token-2 and so on. */
function asking(answers: (count: number) => Answer, fields: Partial<OAuthClient> = {}): TokenClient {
  const path = `/token-${++paths}`;
  let count = 0;
  server.plan({ path, answers: () => answers(++count) });
  const oauth: OAuthClient = {
    ...{ tokenUrl: server.url(path), clientId: 'c', method: 'client_secret_basic', key: null },
    ...{ credential: { id: 'sec_1', sealed: '' }, scope: null, resource: [], audience: null },
    ...{ assertionAudience: null, ...fields },
  };
  return tokenClient('ten_1', oauth, 'secret');
}

const token = (count: number, more: object = { expires_in: 100 }): Answer => ({
  status: 200,
  body: JSON.stringify({ access_token: `token-${count}`, token_type: 'bearer', ...more }),
});
const get = (client: TokenClient) => Promise.resolve(cache.get(client, 5_000));
const taken = async (client: TokenClient) => {
  const answer = await get(client);
  return answer.kind === 'token' ? answer.token : answer.class;
};

describe('the token cache', () => {
  it('makes one request for a hundred deliveries at once, and none for those that follow', async () => {
    const client = asking((count) => token(count));
    const answers = await Promise.all(Array.from({ length: 100 }, () => taken(client)));
    expect(new Set(answers)).toEqual(new Set(['token-1']));
    expect(await taken(client)).toBe('token-1');
    expect(server.requests).toHaveLength(1);
    const other = asking((count) => token(count + 100));
    expect(await taken(other)).toBe('token-101');
  });

  it('holds a token for its life less a margin, and fetches the next one ahead while the old one serves', async () => {
    // 100 s less 30 s; from 56 s on ahead.
    const client = asking((count) => token(count));
    expect(await taken(client)).toBe('token-1');
    now += 55_999;
    expect(await taken(client)).toBe('token-1');
    expect(server.requests).toHaveLength(1);
    now += 1;
    expect(cache.get(client, 5_000)).toEqual({ kind: 'token', token: 'token-1' });
    expect(cache.get(client, 5_000)).toEqual({ kind: 'token', token: 'token-1' });
    now += 14_000;
    // Its time is over: this one waits for the request that is under way.
    expect(await taken(client)).toBe('token-2');
    expect(server.requests).toHaveLength(2);
  });

  it.each([
    ['five minutes, when it does not say how long it lasts', {}, 300_000, undefined],
    ['an hour, however long it lasts', { expires_in: 1e9 }, 3_600_000, undefined],
    ['nine tenths of a long life', { expires_in: 1_000 }, 900_000, undefined],
    ['not at all, when it is over within the margin', { expires_in: 30 }, 0, undefined],
    ['what its client sets', { expires_in: 1e9 }, 20_000, 20],
    ['what its client sets, when it does not say', {}, 600_000, 600],
    ['less than what its client sets, when it is over before', { expires_in: 1_000 }, 900_000, 950],
    ['an hour, whatever its client sets', {}, 3_600_000, 86_400],
  ])('holds a token for %s', async (_, more, lifeMs, maxTokenTtlSeconds) => {
    const client = asking((count) => token(count, more), { maxTokenTtlSeconds });
    expect(await taken(client)).toBe('token-1');
    const start = now;
    if (lifeMs > 0) {
      now = start + lifeMs * 0.8 - 1;
      expect(await taken(client)).toBe('token-1');
    }
    expect(server.requests).toHaveLength(1);
    now = start + lifeMs;
    expect(await taken(client)).toBe('token-2');
  });

  it('leaves a server alone that refused us, longer each time up to a minute', async () => {
    const client = asking((count) =>
      count < 5 ? { status: 401, body: '{"error":"invalid_client"}' } : token(count),
    );
    for (const holdMs of [30_000, 60_000, 60_000, 60_000]) {
      server.requests.length = 0;
      const refused = await get(client);
      expect(refused).toMatchObject({ class: 'auth_token_refused', retryAfterMs: holdMs });
      now += holdMs - 1;
      const rest = await Promise.all(Array.from({ length: 1_000 }, () => get(client)));
      expect(new Set(rest.map((answer) => JSON.stringify(answer))).size).toBe(1);
      expect(rest[0]).toMatchObject({ class: 'auth_token_refused', retryAfterMs: 1 });
      expect(server.requests).toHaveLength(1);
      now += 1;
    }
    expect(await taken(client)).toBe('token-5');
    now += 71_000;
    expect(await taken(client)).toBe('token-6');
  });

  it('comes back to a server that is away when that asks for it, else soon', async () => {
    const answers: Answer[] = [
      { status: 503, headers: { 'retry-after': '20' } },
      { status: 429, headers: { 'retry-after': '99999' } },
      { status: 503, headers: { 'retry-after': '0' } },
      500,
    ];
    const client = asking((count) => answers[count - 1] ?? token(count));
    for (const holdMs of [20_000, 300_000, 1_000, 8_000]) {
      expect(await get(client)).toMatchObject({ class: 'auth_token_unavailable', retryAfterMs: holdMs });
      now += holdMs;
    }
    expect(await taken(client)).toBe('token-5');
  });

  it('serves the old token on while the next one cannot be had, and does not ask with every delivery', async () => {
    const client = asking((count) => (count === 2 ? 500 : token(count)));
    await taken(client);
    now += 60_000;
    expect(await taken(client)).toBe('token-1');
    await server.whenReceived(2);
    // Joins the request under way, whose failure is none for those who have a token.
    expect(await taken(client)).toBe('token-1');
    expect(server.requests).toHaveLength(2);
  });

  it('lets those with little time go, and gives the token to those who have more', async () => {
    const client = asking((count) => ({ ...(token(count) as object), status: 200, delayMs: 200 }));
    const hasty = Promise.resolve(cache.get(client, 20));
    const patient = get(client);
    expect(await hasty).toMatchObject({ class: 'auth_token_timeout' });
    expect(await patient).toEqual({ kind: 'token', token: 'token-1' });
    expect(server.requests).toHaveLength(1);
  });

  it('drops a token once, however many found that it is not taken', async () => {
    const client = asking((count) => token(count));
    await taken(client);
    expect(Array.from({ length: 10 }, () => cache.drop(client, 'token-1'))).not.toContain(false);
    const answers = await Promise.all(Array.from({ length: 10 }, () => taken(client)));
    expect(new Set(answers)).toEqual(new Set(['token-2']));
    // Too late: another one has replaced it.
    expect(cache.drop(client, 'token-1')).toBe(true);
    expect(await taken(client)).toBe('token-2');
    expect(server.requests).toHaveLength(2);
  });

  it('does not fetch token after token for a receiver that takes none', async () => {
    const client = asking((count) => token(count));
    await taken(client);
    cache.keep(client);
    expect(cache.drop(client, 'token-1')).toBe(false);
    now += 30_000;
    expect(cache.drop(client, 'token-1')).toBe(true);
  });

  it('tells of each request to a token server, and of nothing else', async () => {
    const outcomes: string[] = [];
    cache = new TokenCache({
      ...{ client: guarded, now: () => now },
      onAnswered: (outcome) => outcomes.push(outcome),
    });
    const client = asking((count) => (count === 1 ? 500 : token(count)));
    await taken(client);
    await taken(client);
    now += 1_000;
    await taken(client);
    await taken(client);
    expect(outcomes).toEqual(['auth_token_unavailable', 'token']);
  });

  it('says once that less was granted than asked for', async () => {
    const client = asking((count) => token(count, { scope: 'a', expires_in: 1 }), { scope: 'a b' });
    const granted = asking((count) => token(count, { scope: 'c b a' }), { scope: 'a b' });
    const unsaid = asking((count) => token(count), { scope: 'a b' });
    for (const one of [client, client, granted, unsaid]) await taken(one);
    expect(narrowed).toEqual(['a']);
  });
});
