import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { attemptId, deliveryId, type HistoryPage, newId, type PageRequest } from '@posthaste/contracts';
import { applyFacts, type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import {
  attemptFilters,
  deliveryFilters,
  type Filters,
  match,
  messageFilters,
  payloads,
  type Tried,
} from '../proving/list-filters.js';
import {
  account,
  at,
  endpoints,
  type Fact,
  other,
  pick,
  random,
  someFact,
  sometimes,
  tenant,
} from '../proving/random-history.js';
import { sampleMessage } from './sample-facts.js';
import { listAccountAttempts } from './sql/select-attempts.js';
import { listDeliveries } from './sql/select-deliveries.js';
import { listMessages } from './sql/select-messages.js';

// Every filter of every list, alone and with others, against a model in memory; and pages while rows arrive.

let bed: HistoryBed;
const facts: Fact[] = [];

async function arrive(of: string, ms: number, count: number): Promise<Fact[]> {
  const made = Array.from({ length: count }, () => someFact(of, ms + random.below(4)));
  await applyFacts(
    bed,
    made.map(({ fact }) => fact.message),
    made.flatMap(({ events }) => events),
  );
  return made.map(({ fact }) => fact);
}

beforeAll(async () => {
  bed = await startHistoryBed();
  for (let i = 0; i < 12; i++)
    facts.push(...(await arrive(pick([account, account, other]), at + i * 700, 25)));
}, 60_000);
afterAll(() => bed.stop());

type Row = { id: string };
type Lister = (request: {
  page: PageRequest;
}) => Promise<HistoryPage<Row & { accepted_at?: number; started_at?: number }>>;

/** All ids, page after page; `between` is done after each. */
async function idsOf(
  list: Lister,
  limit: number,
  between = async () => Promise.resolve(),
): Promise<string[]> {
  const ids: string[] = [];
  let page: PageRequest = { limit };
  for (;;) {
    const { data, has_more, reached_at, reached_id } = await list({ page });
    expect(data.length).toBeLessThanOrEqual(limit);
    ids.push(...data.map(({ id }) => id));
    if (has_more !== true) return ids;
    const last = data.at(-1);
    page = {
      limit,
      after_at: reached_at ?? last?.accepted_at ?? last?.started_at,
      after_id: reached_id ?? last?.id,
    };
    await between();
  }
}

interface ListCase<F extends Fact> {
  name: string;
  list(this: void, request: never): ReturnType<Lister>;
  filters: Filters<F>;
  /** The rows of a fact with the key each is sorted by. */
  rows(this: void, fact: Fact): (F & { key: [number, string] })[];
}
const attemptCase: ListCase<Tried> = {
  name: 'attempts',
  list: (request) => listAccountAttempts(bed.pool, request),
  filters: attemptFilters,
  rows: (fact) => fact.attempts.map((tried) => ({ ...fact, tried, key: [tried.startedAt, tried.id] })),
};
const cases: ListCase<Fact>[] = [
  {
    name: 'messages',
    list: (request) => listMessages(bed.pool, request),
    filters: messageFilters,
    rows: (fact) => [{ ...fact, key: [fact.message.meta.at, fact.message.meta.id] }],
  },
  {
    name: 'deliveries',
    list: (request) => listDeliveries(bed.pool, request),
    filters: deliveryFilters,
    rows: (fact) => [{ ...fact, key: [fact.message.meta.at, fact.delivery] }],
  },
  attemptCase,
];

function expectedIds(
  one: ListCase<Fact>,
  among: Fact[],
  of: string,
  asked: Record<string, unknown>,
): string[] {
  return among
    .filter(({ message }) => message.meta.account === of)
    .flatMap((fact) => one.rows(fact))
    .filter((row) =>
      Object.entries(asked).every(([name, value]) => one.filters[name]?.holds(row, value as never)),
    )
    .map(({ key }) => key)
    .sort(([a, idA], [b, idB]) => b - a || (idA < idB ? 1 : -1))
    .map(([, id]) => id);
}

/** Of the account a whole id and two shortened; one of another account, and one of nobody. */
function somePrefixes(one: ListCase<Fact>): string[] {
  const idsIn = (of: string): string[] =>
    facts
      .filter(({ message }) => message.meta.account === of)
      .flatMap((fact) => one.rows(fact).map(({ key }) => key[1]));
  const ids = idsIn(account);
  const digits = (id: string, count: number): string => id.slice(0, id.indexOf('_') + 1 + count);
  const ofNobody = `${digits(pick(ids), 9)}zzzzzz`;
  return [pick(ids), digits(pick(ids), 6), digits(pick(ids), 9), pick(idsIn(other)), ofNobody];
}

describe.each(cases)('the list of $name', (one) => {
  const { filters } = one;
  const valuesOf = (name: string): readonly unknown[] =>
    name === 'id_prefix' ? somePrefixes(one) : (filters[name]?.values ?? []);
  const check = async (asked: Record<string, unknown>, limit: number): Promise<number> => {
    const list: Lister = ({ page }) => one.list({ tenant, account, ...asked, page } as never);
    const expected = expectedIds(one, facts, account, asked);
    const said = `seed ${random.seed}: ${JSON.stringify(asked)}`;
    expect([said, ...(await idsOf(list, limit))]).toEqual([said, ...expected]);
    return expected.length;
  };

  it.each(Object.keys(filters))('is narrowed by %s', async (name) => {
    let found = 0;
    for (const value of valuesOf(name)) found += await check({ [name]: value }, 1 + random.below(40));
    expect(found).toBeGreaterThan(0);
  });

  it('is narrowed by any of them together', async () => {
    for (let round = 0; round < 40; round++) {
      const names = Object.keys(filters).filter(() => random.below(3) === 0);
      await check(
        Object.fromEntries(names.map((name) => [name, pick(valuesOf(name))])),
        1 + random.below(40),
      );
    }
  }, 30_000);

  it("shows nothing of another tenant, nor another account's under an endpoint that is not its own", async () => {
    const page = { limit: 10 };
    expect((await one.list({ tenant: newId('tenant'), account, page } as never)).data).toEqual([]);
    expect((await one.list({ tenant, account: newId('account'), page } as never)).data).toEqual([]);
    if ('endpoint' in filters) {
      expect(
        (await one.list({ tenant, account: other, endpoint: endpoints[0], page } as never)).data,
      ).toEqual([]);
    }
  });

  it('misses no row that was there when it began, and tells none twice, while rows arrive', async () => {
    for (let round = 0; round < 4; round++) {
      const name = pick(Object.keys(filters).filter((each) => each !== 'id_prefix' && each !== 'until'));
      const asked = sometimes({ [name]: pick(valuesOf(name)) }) ?? {};
      const before = expectedIds(one, facts, account, asked);
      const list: Lister = ({ page }) => one.list({ tenant, account, ...asked, page } as never);
      // Newer, older and between: a record may be late.
      const seen = await idsOf(list, 4 + random.below(20), async () => {
        if (random.below(3) === 0)
          facts.push(...(await arrive(account, at + random.below(12_000), 1 + random.below(5))));
      });
      const said = `seed ${random.seed}: ${JSON.stringify(asked)}`;
      expect([said, new Set(seen).size]).toEqual([said, seen.length]);
      expect([said, before.filter((id) => !seen.includes(id))]).toEqual([said, []]);
      const after = new Set(expectedIds(one, facts, account, asked));
      expect([said, seen.filter((id) => !after.has(id))]).toEqual([said, []]);
    }
  }, 60_000);
});

describe('the list of messages', () => {
  it.each(payloads)('is narrowed by $payload', async ({ payload, holds }) => {
    const list: Lister = ({ page }) => listMessages(bed.pool, { tenant, account, payload, page });
    const expected = facts.filter((fact) => fact.message.meta.account === account && holds(fact));
    const found = await idsOf(list, 7);
    expect([...found].sort()).toEqual(expected.map(({ message }) => message.meta.id).sort());
    if (payload.path[0] !== 'no') expect(found.length).toBeGreaterThan(0);
  });

  it('passes by payloads that are no JSON, or hold what PostgreSQL cannot', async () => {
    const of = newId('account', at);
    const bodies = ['\u0000\u00ff', '{"a":1', '{"a":"\\u0000","b":1}', '{"b":1}'];
    const messages = bodies.map((body) => ({
      ...sampleMessage({ tenant, account: of, endpoint: endpoints[0] ?? '', at }),
      payload: Buffer.from(body, 'latin1'),
    }));
    await applyFacts(bed, messages, []);
    const list: Lister = ({ page }) =>
      listMessages(bed.pool, { tenant, account: of, payload: match(['b'], 1), page });
    expect(await idsOf(list, 5)).toEqual([messages[3]?.meta.id]);
  });
});

describe('a search for what is rare', () => {
  it('looks at so many rows a page, and goes on where it stopped while rows arrive', async () => {
    const of = newId('account', at);
    const sample = { tenant, account: of, endpoint: endpoints[0] ?? '' };
    const rare: string[] = [];
    const send = async (ms: number, count: number, everyRare: number): Promise<void> => {
      const messages = Array.from({ length: count }, (_, i) =>
        sampleMessage(
          { ...sample, at: ms + Math.floor(i / 3) },
          i % everyRare === everyRare - 1 ? { tags: ['rare'] } : {},
        ),
      );
      rare.push(...messages.filter(({ meta }) => meta.tags).map(({ meta }) => meta.id));
      await applyFacts(bed, messages, []);
    };
    for (let i = 0; i < 7; i++) await send(at + i * 1_000, 900, 450);
    const deliveries = rare.map((id) => deliveryId(id, sample.endpoint));
    let pages = 0;
    const arriving = async (): Promise<void> => {
      pages++;
      await send(at + 20_000 + pages, 10, 1_000);
    };
    const messageList: Lister = ({ page }) =>
      listMessages(bed.pool, { tenant, account: of, tag: 'rare', page });
    expect((await idsOf(messageList, 3, arriving)).sort()).toEqual([...rare].sort());
    expect(pages).toBeGreaterThanOrEqual(4);
    const deliveryList: Lister = ({ page }) =>
      listDeliveries(bed.pool, { tenant, account: of, tag: 'rare', page });
    pages = 0;
    expect((await idsOf(deliveryList, 100, arriving)).sort()).toEqual(deliveries.sort());
    expect(pages).toBeGreaterThanOrEqual(6);
    const none: Lister = ({ page }) => listMessages(bed.pool, { tenant, account: of, tag: 'none', page });
    const [first] = [await none({ page: { limit: 5 } })];
    expect(first).toMatchObject({ data: [], has_more: true });
    expect(await idsOf(none, 5)).toEqual([]);
  }, 60_000);

  it('finds an attempt by its whole id', async () => {
    const { delivery } = facts.find(({ attempts }) => attempts.length === 2) as Fact;
    const id_prefix = attemptId(delivery, 2);
    const found = facts.find((fact) => fact.delivery === delivery)?.message.meta.account ?? '';
    const list: Lister = ({ page }) =>
      listAccountAttempts(bed.pool, { tenant, account: found, id_prefix, page });
    expect(await idsOf(list, 5)).toEqual([id_prefix]);
  });
});
