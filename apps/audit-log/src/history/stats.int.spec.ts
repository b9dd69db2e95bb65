import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type DeliveryAttempted, type DeliveryEvent, newId } from '@posthaste/contracts';
import { applyFacts, type HistoryBed, startHistoryBed } from '../proving/history-bed.js';
import { account, at, endpoints, pick, random, someFact, tenant } from '../proving/random-history.js';
import { attempted, deferred, sampleMessage } from './sample-facts.js';
import { deleteExpired } from '../retention/delete-expired.js';
import { getEndpointStats } from './sql/select-stats.js';

let bed: HistoryBed;
const deferrals: { endpoint: string; at: number }[] = [];
const MINUTE_MS = 60_000;
const minuteOf = (ms: number): number => Math.floor(ms / MINUTE_MS);
const SPAN_MINUTES = 300;

beforeAll(async () => {
  bed = await startHistoryBed();
  for (let i = 0; i < 12; i++) await someBatch();
}, 60_000);
afterAll(() => bed.stop());

/** Latencies over the whole range; some attempts and deferrals are told twice, some failures become successes. */
async function someBatch(): Promise<void> {
  const made = Array.from({ length: 40 }, () =>
    someFact(account, at + random.below(SPAN_MINUTES) * MINUTE_MS + random.below(MINUTE_MS)),
  );
  const events = made.flatMap(({ events: told }) => told.map(slowed));
  for (const event of events) {
    if (event.type === 'DeliveryDeferred') deferrals.push(event);
  }
  const firsts = events.filter((event) => event.type === 'DeliveryAttempted' && event.attempt === 1);
  await applyFacts(
    bed,
    made.map(({ fact }) => fact.message),
    events,
  );
  await applyFacts(
    bed,
    [],
    [...firsts.slice(0, 9), ...firsts.slice(0, 15).map(laterSuccess), ...events.slice(0, 12)],
  );
}

function slowed<E extends DeliveryEvent>(event: E): E {
  if (event.type !== 'DeliveryAttempted') return event;
  const totalMs = 2 ** (random.below(1_700) / 100) + random.below(100) / 100;
  return { ...event, timings: { ...event.timings, totalMs } };
}

/** Made again after a crash, in another minute and with another latency. */
function laterSuccess(event: DeliveryEvent): DeliveryEvent {
  const report = event as DeliveryAttempted;
  const success: DeliveryAttempted = {
    ...report,
    startedAt: report.startedAt + random.below(3) * MINUTE_MS,
    outcome: 'succeeded',
    decision: { kind: 'delivered' },
  };
  delete success.error;
  return slowed(success);
}

interface Made {
  endpoint: string;
  started_at: number;
  duration_ms: number;
  outcome: string;
}

async function scanned(endpoint: string): Promise<Made[]> {
  const { rows } = await bed.pool.query<Made>(
    'select endpoint, started_at, duration_ms, outcome from history.attempt where endpoint = $1',
    [endpoint],
  );
  return rows;
}

/** The latency which that share of all did not exceed. */
const exactly = (sorted: number[], share: number): number =>
  sorted[Math.max(1, Math.ceil(share * sorted.length - 1e-9)) - 1] ?? NaN;

describe("an endpoint's minutes", () => {
  it.each([1, 60, 1_440])(
    'add up to what a scan of the attempts tells, in steps of %i minutes',
    async (step) => {
      for (const endpoint of endpoints) {
        const since = minuteOf(at) + random.below(60);
        const until = since + 60 + random.below(SPAN_MINUTES);
        const isWithin = (ms: number): boolean => minuteOf(ms) >= since && minuteOf(ms) < until;
        const stepOf = (ms: number): number => Math.floor(minuteOf(ms) / step) * step;
        const attempts = (await scanned(endpoint)).filter(({ started_at }) => isWithin(started_at));
        const putOff = deferrals.filter((each) => each.endpoint === endpoint && isWithin(each.at));
        expect(attempts.length).toBeGreaterThan(0);
        const expected = (made: Made[], off: typeof deferrals): object => ({
          delivered: made.filter(({ outcome }) => outcome === 'succeeded').length,
          failed: made.filter(({ outcome }) => outcome === 'failed').length,
          deferred: off.length,
        });
        const { data, total } = await getEndpointStats(bed.pool, { tenant, endpoint, since, until, step });
        expect(total).toMatchObject(expected(attempts, putOff));
        const steps = new Set(
          [...attempts.map((made) => made.started_at), ...putOff.map((off) => off.at)].map(stepOf),
        );
        const said = `seed ${random.seed}`;
        expect([said, data.map(({ minute }) => minute)]).toEqual([said, [...steps].sort((a, b) => a - b)]);
        for (const point of data) {
          const made = attempts.filter(({ started_at }) => stepOf(started_at) === point.minute);
          const off = putOff.filter((each) => stepOf(each.at) === point.minute);
          expect([said, point]).toMatchObject([said, expected(made, off)]);
          const sorted = made.map(({ duration_ms }) => duration_ms).sort((a, b) => a - b);
          for (const [share, told] of [
            [0.5, point.p50],
            [0.95, point.p95],
            [0.99, point.p99],
          ] as const) {
            if (sorted.length === 0) expect(told).toBeUndefined();
            else expect(Math.abs(Math.log((told ?? 0) / exactly(sorted, share)))).toBeLessThan(Math.log(1.1));
          }
        }
      }
    },
  );

  it('do not count what the log holds twice, nor what comes in another order of batches', async () => {
    const sample = { tenant, account, endpoint: newId('endpoint'), at };
    const message = sampleMessage(sample);
    const told = [
      deferred(message, 1, at + 9_000),
      attempted(message, 1, { kind: 'retry', at: at + 20_000 }),
    ];
    for (let round = 0; round < 3; round++) await applyFacts(bed, [], pick([told, [...told, ...told]]));
    await applyFacts(bed, [message], [attempted(message, 2, { kind: 'delivered' })]);
    const range = { since: minuteOf(at), until: minuteOf(at) + 1, step: 1 };
    const { total } = await getEndpointStats(bed.pool, { tenant, endpoint: sample.endpoint, ...range });
    expect(total).toMatchObject({ delivered: 1, failed: 1, deferred: 1 });
    const foreign = await getEndpointStats(bed.pool, {
      tenant: newId('tenant'),
      endpoint: sample.endpoint,
      ...range,
    });
    expect(foreign).toMatchObject({ data: [], total: { delivered: 0, failed: 0, deferred: 0 } });
  });

  it('have no row that counts nothing, when an attempt was told again as a success', async () => {
    const { rows } = await bed.pool.query(
      'select from history.endpoint_minute where delivered + failed + deferred < 1 or least(delivered, failed, deferred) < 0',
    );
    expect(rows).toEqual([]);
  });

  it('are kept as long as the history, and no longer', async () => {
    const minutes = async (): Promise<number[]> => {
      const { rows } = await bed.pool.query<{ minute: number }>('select minute from history.endpoint_minute');
      return rows.map(({ minute }) => minute);
    };
    const firstKept = minuteOf(at) + 100;
    const kept = (await minutes()).filter((minute) => minute >= firstKept);
    while ((await deleteExpired(bed.pool, firstKept * MINUTE_MS + 500)) > 0);
    expect((await minutes()).sort()).toEqual(kept.sort());
    expect(kept.length).toBeGreaterThan(0);
  });
});
