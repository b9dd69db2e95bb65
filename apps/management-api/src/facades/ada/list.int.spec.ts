import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type RestAnswer, RestClient } from '@posthaste/test-kit';
import { AdaBed, created, type Page, WEBHOOKS } from '../../proving/ada-bed.js';
import { adaErrorOf } from '../../proving/ada-error.js';
import { type ApiUnderTest, startApi } from '../../proving/api-under-test.js';
import type { TestBed } from '../../proving/test-bed.js';
import { ManagementApiConfig } from '../../config.js';
import type { Webhook } from './webhook.js';

// The pages of Ada's list, and how often it may be asked for.

jest.setTimeout(60_000);

let on: AdaBed;
let bed: TestBed;
/** The clients of an account each. */
let acme: RestClient;
let other: RestClient;

beforeAll(async () => {
  on = await AdaBed.start();
  ({ bed } = on);
  acme = await on.newClient('acme');
  other = await on.newClient('other');
});
afterAll(() => on.stop());

const create = (fields: object = {}, client = acme): Promise<Webhook> => created(client, fields);

describe('the list', () => {
  it('goes on at next_page_url, asked unchanged, until that is null', async () => {
    const client = await on.newClient('pages');
    const made = [await create({}, client), await create({}, client), await create({}, client)];
    const seen: Webhook[] = [];
    let next: string | null = `${bed.api.url}${WEBHOOKS}?limit=1&colour=red`;
    for (let pages = 0; next !== null && pages < 4; pages++) {
      expect(next).toMatch(`${bed.api.url}/api/v2/webhooks/?`);
      const page: Page = await new RestClient('', client.key).ask('GET', next);
      expect(page.data).toHaveLength(1);
      seen.push(...page.data);
      next = page.meta.next_page_url;
    }
    expect(next).toBeNull();
    expect(seen).toEqual(made.reverse());
    expect((await client.get<Page>(WEBHOOKS)).json).toEqual({ data: made, meta: { next_page_url: null } });
    const empty = await on.newClient('empty');
    expect((await empty.get<Page>(WEBHOOKS)).json).toEqual({ data: [], meta: { next_page_url: null } });
  });

  it('has pages of 200 at most, whatever is asked for', async () => {
    const asked = await acme.ask<Page>('GET', `${WEBHOOKS}?limit=200`);
    for (const limit of [201, 1_000_000]) {
      expect(await acme.ask<Page>('GET', `${WEBHOOKS}?limit=${limit}`)).toEqual(asked);
    }
  });

  it('takes the cursor of no other list', async () => {
    await create();
    await create({}, other);
    await create({}, other);
    const cursorOf = (page: Page): string =>
      new URL(page.meta.next_page_url ?? '').searchParams.get('cursor') ?? '';
    const theirs = cursorOf(await other.ask('GET', `${WEBHOOKS}?limit=1`));
    const natives = await acme.ask<{ next_cursor: string }>('GET', '/v1/accounts/acme/endpoints?limit=1');
    for (const cursor of [theirs, natives.next_cursor]) {
      const answer = await acme.get(`${WEBHOOKS}?limit=1&cursor=${cursor}`);
      expect(adaErrorOf(answer)).toEqual([400, 'validation_error', 'query $.cursor']);
    }
  });

  it('names the host that was asked, whatever else a request says', async () => {
    await create();
    const headers = {
      authorization: `Bearer ${acme.key}`,
      host: 'hooks.example:8443',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
    };
    const body = await new Promise<string>((resolve, reject) => {
      httpRequest(`${bed.api.url}${WEBHOOKS}?limit=1`, { headers }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve(text));
      })
        .on('error', reject)
        .end();
    });
    const { meta } = JSON.parse(body) as Page;
    expect(meta.next_page_url).toMatch(/^http:\/\/hooks\.example:8443\/api\/v2\/webhooks\/\?limit=1&cursor=/);
  });
});

describe('the list of an API that is told where it is', () => {
  it.each(['https://hooks.example.com', 'https://example.com/posthaste/'])('names %s', async (url) => {
    const api = await startApi(bed.postgres.url, { HTTP_PUBLIC_URL: url });
    try {
      await create();
      await create();
      const { meta } = await api.as(acme.key).ask<Page>('GET', `${WEBHOOKS}?limit=1`);
      const [before, cursor] = (meta.next_page_url ?? '').split('cursor=');
      expect(before).toBe(`${url.replace(/\/$/, '')}${WEBHOOKS}?limit=1&`);
      expect((await acme.get(`${WEBHOOKS}?limit=1&cursor=${cursor}`)).status).toBe(200);
    } finally {
      await api.stop();
    }
  });

  it.each(['hooks.example.com', 'ftp://hooks.example.com', 'https://x.example/?a=b', 'https://x.example/#a'])(
    'is not told so by %s',
    (url) => {
      expect(ManagementApiConfig.shape.HTTP_PUBLIC_URL.safeParse(url).success).toBe(false);
    },
  );
});

describe('the rate limits', () => {
  let api: ApiUnderTest;
  beforeAll(async () => {
    api = await startApi(bed.postgres.url, { ADA_RATE_LIMITS: '1000/s,3/min,10000/day' });
  });
  afterAll(() => api.stop());

  it('are those of Ada when nothing else is configured', () => {
    expect(ManagementApiConfig.shape.ADA_RATE_LIMITS.parse(undefined)).toBe('10/s,100/min,10000/day');
  });

  it('are told on every answer, and refuse with when to come back, each key by itself', async () => {
    const mine = api.as(acme.key);
    const limitsOf = ({ status, headers }: RestAnswer): unknown[] => [
      status,
      headers.get('ratelimit-limit'),
      headers.get('ratelimit-remaining'),
    ];
    expect(limitsOf(await mine.get(WEBHOOKS))).toEqual([200, '3', '2']);
    expect(limitsOf(await mine.get(`${WEBHOOKS}ep_x`))).toEqual([404, '3', '1']);
    const last = await mine.post(WEBHOOKS, { url: 'bad' });
    expect(limitsOf(last)).toEqual([400, '3', '0']);
    expect(last.headers.get('retry-after')).toBeNull();
    const refusal = await mine.get(WEBHOOKS);
    expect(limitsOf(refusal)).toEqual([429, '3', '0']);
    expect(adaErrorOf(refusal)).toEqual([429, 'too_many_requests']);
    const wait = Number(refusal.headers.get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(60);
    expect(refusal.headers.get('ratelimit-reset')).toBe(String(wait));
    expect((await api.as(other.key).get(WEBHOOKS)).status).toBe(200);
    expect((await mine.get('/v1/event-types')).status).toBe(200);
    expect((await mine.get('/v1/event-types')).headers.get('ratelimit-limit')).toBeNull();
  });

  it.each([
    ['1/s', '1', 1],
    ['3/day', '3', 86_400],
  ])('of %s refuse what is more', async (window, limit, seconds) => {
    const limited = await startApi(bed.postgres.url, { ADA_RATE_LIMITS: `${window},1000/min` });
    try {
      const mine = limited.as(acme.key);
      const answers = await Promise.all(Array.from({ length: 20 }, () => mine.get(WEBHOOKS)));
      const refused = answers.filter(({ status }) => status === 429);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(20 - refused.length);
      expect(refused).not.toEqual([]);
      for (const answer of refused) {
        expect(adaErrorOf(answer)).toEqual([429, 'too_many_requests']);
        expect(answer.headers.get('ratelimit-limit')).toBe(limit);
        const wait = Number(answer.headers.get('retry-after'));
        expect(wait).toBeGreaterThan(seconds / 2);
        expect(wait).toBeLessThanOrEqual(seconds);
      }
    } finally {
      await limited.stop();
    }
  });

  it('are not there when they are off', async () => {
    expect((await acme.get(WEBHOOKS)).headers.get('ratelimit-limit')).toBeNull();
  });
});
