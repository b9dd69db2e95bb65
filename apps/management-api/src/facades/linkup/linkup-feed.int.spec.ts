import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  type HistoryFeedItem,
  type HistoryFeedPage,
  newId,
  type ReadFeedRequest,
} from '@posthaste/contracts';
import { type TenantClient, waitFor } from '@posthaste/test-kit';
import { expectAnswer, expectError, LinkupClient } from '../../proving/linkup-client.js';
import { ScriptedHistory } from '../../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../../proving/test-bed.js';

// Hosted webhooks before a history whose every answer is known. The real one is in apps/e2e/src/linkup.e2e.spec.ts.

let bed: TestBed;
let history: ScriptedHistory;
let tenant: TenantClient;
let linkup: LinkupClient;
/** What is kept, the oldest first. */
let kept: HistoryFeedItem[];
/** The sequence of the latest there ever was. */
let newest: number;

const AT = Date.parse('2026-01-02T03:04:05.678Z');
const WRAPPER =
  '{"account_id":"ada","account_name":"Ada L.","event":{"type":"message"},"timestamp":"2026-01-02T03:04:05.678Z"}';

beforeAll(async () => {
  history = new ScriptedHistory();
  await history.start();
  bed = await startTestBed({ env: { HISTORY_GRPC: history.address } });
  tenant = await bed.api.newTenant('Acme');
  await tenant.rest.put('/v1/accounts/ada', { name: 'Ada L.' });
  linkup = new LinkupClient(bed.api.url, tenant.key);
  linkup.ids['hosted'] = await linkup.make({ account_id: 'ada' });
  linkup.ids['custom'] = await linkup.make({ account_id: 'ada', url: 'https://hooks.example.com/' });
}, 60_000);
afterAll(async () => {
  await bed.stop();
  history.stop();
}, 30_000);
beforeEach(() => {
  kept = [];
  newest = 0;
  answering();
});

function answering(): void {
  history.asked.length = 0;
  history.replies['ReadFeed'] = (request) => readFeed(request as unknown as ReadFeedRequest);
  history.replies['FeedHeads'] = (request) => ({
    data: (request['endpoints'] as string[]).map((endpoint) => ({ endpoint, newest })),
  });
}

/** As audit-log answers. */
function readFeed({
  after = 0,
  since = -Infinity,
  until = Infinity,
  limit,
}: ReadFeedRequest): HistoryFeedPage {
  const items = kept.filter(({ sequence, listed_at: at }) => sequence > after && at > since && at < until);
  return { items: items.slice(0, limit), oldest: kept[0]?.sequence ?? newest + 1, newest };
}

function happens(payload = '{"type":"message"}'): number {
  newest += 1;
  const at = AT + newest - 1;
  const id = newId('message', at);
  const meta = {
    v: 1,
    id,
    tenant: tenant.id,
    account: 'acc_1',
    type: 'message_received',
    subject: { uid: 'ada', name: 'Ada L.' },
    contentType: 'application/json',
    at: AT,
    config: 1,
    routes: [],
  };
  const item = {
    sequence: newest,
    message: id,
    accepted_at: AT,
    listed_at: at,
    meta_json: JSON.stringify(meta),
  };
  kept.push({ ...item, payload: Buffer.from(payload) });
  return newest;
}

const idOf = (sequence: number): string => sequence.toString(16).padStart(24, '0');

describe('GET /v2/webhooks/{id}/events', () => {
  const action = 'poll_webhook_events';
  const event = JSON.parse(WRAPPER) as unknown;
  const items = (...sequences: number[]): unknown => ({
    items: sequences.map((sequence) => ({
      event_id: idOf(sequence),
      event,
      created_at: new Date(AT + sequence - 1).toISOString(),
    })),
  });

  it('answers what is kept, the oldest first; nothing when nothing is', async () => {
    expectAnswer(await linkup.call('GET /{hosted}/events'), action, { items: [] });
    happens();
    happens();
    expectAnswer(await linkup.call('GET /{hosted}/events'), action, items(1, 2));
    // A day later.
    kept = [];
    expectAnswer(await linkup.call('GET /{hosted}/events'), action, { items: [] });
  });

  it('shows the payload byte for byte', async () => {
    const odd = '{ "type":"message",\n"amount":1.10, "n":12345678901234567890, "text":"\\u00e9é" }';
    happens(odd);
    const { bytes } = await linkup.call('GET /{hosted}/events');
    expect(bytes.toString()).toContain(`"event":${odd}`);
  });

  it('shows a payload that is a whole event as it stands', async () => {
    const whole = '{"account_id":"x","event":{"type":"message"},"timestamp":"2025-01-15T10:31:00Z"}';
    happens(whole);
    const { bytes } = await linkup.call('GET /{hosted}/events');
    expect(bytes.toString()).toContain(`"event":${whole},"created_at"`);
  });

  it.each<[string, string, number[]]>([
    ['since is exclusive', '?since=2026-01-02T03:04:05.678Z', [2, 3, 4]],
    ['since in another zone', '?since=2026-01-02T04:04:05.679%2B01:00', [3, 4]],
    ["since as LinkUp's own timestamps are: UTC", '?since=2026-01-02T03:04:05.679000', [3, 4]],
    ['since with a plus that was not escaped', '?since=2026-01-02T04:04:05.679+01:00', [3, 4]],
    ['since is a day', '?since=2026-01-02', [1, 2, 3, 4]],
    ['since is a later day', '?since=2026-01-03', []],
    ['after is a time', '?after=2026-01-02T03:04:05.679Z', [3, 4]],
    ['after and since are times: the later', '?since=2026-01-02&after=2026-01-02T03:04:05.678Z', [2, 3, 4]],
    ['until', '?until=2026-01-02T03:04:05.680Z', [1, 2]],
    ['limit', '?limit=1', [1]],
    ['count is the newer name', '?count=2', [1, 2]],
    ['limit before count', '?limit=1&count=2', [1]],
    ['after', `?after=${idOf(2)}`, [3, 4]],
    ['after, in capitals', `?after=${idOf(2).toUpperCase()}`, [3, 4]],
    ['after the last', `?after=${idOf(4)}`, []],
    [
      'all of them',
      `?after=${idOf(1)}&since=2026-01-02T03:04:05Z&until=2026-01-03T00:00:00Z&count=2`,
      [2, 3],
    ],
    ['other parameters are ignored', '?colour=red&limit=200', [1, 2, 3, 4]],
  ])('%s', async (_, query, sequences) => {
    for (let n = 1; n <= 4; n++) happens();
    expectAnswer(await linkup.call(`GET /{hosted}/events${query}`), action, items(...sequences));
  });

  it('answers 50 when no limit is given', async () => {
    for (let n = 1; n <= 51; n++) happens();
    const { json } = await linkup.call('GET /{hosted}/events');
    expect(json.data['items']).toHaveLength(50);
  });

  it('answers what is still there, when what came after `after` is not kept any more', async () => {
    for (let n = 1; n <= 5; n++) happens();
    kept.splice(0, 3);
    expectAnswer(await linkup.call(`GET /{hosted}/events?after=${idOf(1)}`), action, items(4, 5));
  });

  it.each<[string, RegExp]>([
    ['limit=0', /^limit /],
    ['limit=201', /^limit /],
    ['limit=', /^limit /],
    ['limit=many', /^limit /],
    ['limit=1&limit=2', /^limit /],
    ['count=201', /^count /],
    ['since=yesterday', /^since /],
    ['since=2026-02-30T00:00:00Z', /^since /],
    ['until=1', /^until /],
    ['after=7', /^after /],
    [`after=${'f'.repeat(24)}`, /^after /],
    [`after=${'0'.repeat(25)}`, /^after /],
  ])('refuses ?%s', async (query, message) => {
    expectError(await linkup.call(`GET /{hosted}/events?${query}`), 'INVALID_PARAMS', { action, message });
  });

  it('is for hosted webhooks', async () => {
    expectError(await linkup.call('GET /{custom}/events'), 'INVALID_PARAMS', { action, message: /hosted/ });
    const stream = { action: 'stream_webhook', message: /hosted/ };
    expectError(await linkup.call('GET /{custom}/stream'), 'INVALID_PARAMS', stream);
  });

  it('is an INTERNAL_ERROR that says when to ask again, while history is away', async () => {
    history.replies['ReadFeed'] = () => {
      throw new Error('away');
    };
    const answer = await linkup.call('GET /{hosted}/events');
    expectError(answer, 'INTERNAL_ERROR', { action });
    expect(answer.headers.get('retry-after')).toBe('1');
  });
});

/** A stream as it comes over the wire. */
class Listening {
  text = '';
  private readonly stop = new AbortController();

  static readonly all: Listening[] = [];

  static async to(query: string, headers: Record<string, string> = {}): Promise<Listening> {
    const listening = new Listening();
    Listening.all.push(listening);
    const url = `${bed.api.url}/v2/webhooks/${linkup.ids['hosted']}/stream${query}`;
    const response = await fetch(url, { headers, signal: listening.stop.signal });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    void listening.read(response);
    return listening;
  }

  async whenSaying(words: string): Promise<void> {
    await waitFor(() => this.text.includes(words), { what: words, everyMs: 5 });
  }

  close(): void {
    this.stop.abort();
  }

  private async read({ body }: Response): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const bytes of body ?? []) this.text += decoder.decode(bytes as Buffer, { stream: true });
    } catch {
      // Closed here.
    }
  }
}

describe('GET /v2/webhooks/{id}/stream', () => {
  afterEach(() => {
    for (const listening of Listening.all.splice(0)) listening.close();
  });

  const frame = (sequence: number, data = WRAPPER): string =>
    `event: webhook\ndata: ${data}\nid: ${idOf(sequence)}\n\n`;
  const connected = (sequence?: number): string =>
    `event: connected\ndata: {"webhook_id":"${linkup.ids['hosted']}","account_id":"ada"}\n` +
    `${sequence === undefined ? '' : `id: ${idOf(sequence)}\n`}\n`;
  const withKey = (): string => `?api_key=${tenant.key}`;

  it('says connected, then every event from then on', async () => {
    happens();
    const listening = await Listening.to(withKey());
    await listening.whenSaying('\n\n');
    expect(listening.text).toBe(connected(1));
    happens();
    happens();
    await listening.whenSaying(`${idOf(3)}\n\n`);
    expect(listening.text).toBe(connected(1) + frame(2) + frame(3));
  });

  it('takes the key in the header too, and none that is wrong', async () => {
    const listening = await Listening.to('', { 'x-api-key': tenant.key });
    await listening.whenSaying('\n\n');
    for (const query of [
      '',
      '?api_key=',
      '?api_key=x',
      `?api_key=${tenant.key}x`,
      `${withKey()}&api_key=y`,
    ]) {
      const answer = await linkup.bare(`GET /{hosted}/stream${query}`);
      expectError(answer, 'INVALID_API_KEY', { action: 'stream_webhook' });
      expect(answer.bytes.toString()).not.toContain(tenant.key);
    }
  });

  it('has every event on one line', async () => {
    const listening = await Listening.to(withKey());
    await listening.whenSaying('\n\n');
    happens('{\n  "type": "message",\r\n  "text": "a\\nb"\n}');
    await listening.whenSaying(`${idOf(1)}\n\n`);
    const data = WRAPPER.replace('{"type":"message"}', '{   "type": "message",   "text": "a\\nb" }');
    expect(listening.text.replace(/ +/g, ' ')).toBe(connected(0) + frame(1, data.replace(/ +/g, ' ')));
  });

  it('tells each of its clients everything', async () => {
    const clients = await Promise.all([Listening.to(withKey()), Listening.to(withKey())]);
    for (const client of clients) await client.whenSaying('\n\n');
    happens();
    for (const client of clients) {
      await client.whenSaying(`${idOf(1)}\n\n`);
      expect(client.text).toBe(connected(0) + frame(1));
    }
  });

  it.each<[string, (id: string) => [string, Record<string, string>]]>([
    ['Last-Event-ID', (id) => ['', { 'last-event-id': id }]],
    ['last_event_id', (id) => [`&last_event_id=${id}`, {}]],
  ])('goes on after %s', async (_, say) => {
    for (let n = 1; n <= 4; n++) happens();
    const [query, headers] = say(idOf(2));
    const listening = await Listening.to(withKey() + query, headers);
    await listening.whenSaying(`${idOf(4)}\n\n`);
    expect(listening.text).toBe(connected(2) + frame(3) + frame(4));
  });

  it('goes on with the oldest that is kept, when what came next is not any more', async () => {
    for (let n = 1; n <= 4; n++) happens();
    kept.splice(0, 3);
    const listening = await Listening.to(withKey(), { 'last-event-id': idOf(1) });
    await listening.whenSaying(`${idOf(4)}\n\n`);
    expect(listening.text).toBe(connected(3) + frame(4));
  });

  it('begins now after a Last-Event-ID that is none of its ids', async () => {
    happens();
    for (const id of ['7', 'garbage', 'f'.repeat(24)]) {
      const listening = await Listening.to(withKey(), { 'last-event-id': id });
      await listening.whenSaying('\n\n');
      expect(listening.text).toBe(connected(1));
    }
  });

  it('says connected while history does not answer, and goes on when it does', async () => {
    delete history.replies['ReadFeed'];
    const listening = await Listening.to(withKey(), { 'last-event-id': idOf(0) });
    await listening.whenSaying('\n\n');
    expect(listening.text).toBe(connected(0));
    const fresh = await Listening.to(withKey());
    await fresh.whenSaying('\n\n');
    expect(fresh.text).toBe(connected());
    answering();
    happens();
    // The questions that are under way are given up after 5 s.
    await listening.whenSaying(`${idOf(1)}\n\n`);
  }, 30_000);

  it('keeps the connection alive every 30 s', async () => {
    jest.useFakeTimers({ advanceTimers: false, doNotFake: [...EVERYTHING_BUT_INTERVALS] });
    try {
      const listening = await Listening.to(withKey());
      await listening.whenSaying('\n\n');
      jest.advanceTimersByTime(30_000);
      await listening.whenSaying('\n: keepalive\n\n');
    } finally {
      jest.useRealTimers();
    }
  });

  it('ends at once for a HEAD', async () => {
    const { status, bytes } = await linkup.call('HEAD /{hosted}/stream');
    expect([status, bytes.length]).toEqual([200, 0]);
  });
});

const EVERYTHING_BUT_INTERVALS = [
  'Date',
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setTimeout',
  'clearTimeout',
] as const satisfies string[];
