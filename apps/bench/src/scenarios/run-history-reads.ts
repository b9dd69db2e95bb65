import { type SeenAttempt, type SeenDelivery, waitFor } from '@posthaste/test-kit';
import type { Bench } from '../product/bench-stack.js';
import { measureLoad, measurementOf, openWay, sendAll, warmUp } from './load.js';
import { Meter } from '../product/meter.js';
import type { ReadReport, ReadTarget } from '../traffic/protocol.js';
import { round } from '../traffic/quantiles.js';
import { type Show, STEADY_PER_SECOND, steady } from './run-speed.js';
import type { Sizes } from './scenarios.js';

const READS_PER_SECOND = 50;
/** What is read: so much was delivered before. */
const FILLED = 20_000;
/** Of each kind that names one delivery or message; they take turns. */
const DIFFERENT = 40;
const KINDS = 7;

/**
 * What people and programs read of the history while messages go through at a steady rate: how long a read takes by
 * kind, and what the reads do to the deliveries.
 */
export async function runHistoryReads(bench: Bench, sizes: Sizes, show: Show): Promise<void> {
  const { workers, stack } = bench;
  const scenario = 'history-reads';
  const way = await openWay(scenario, bench);
  await warmUp(way, sizes.warmUp(FILLED), bench);
  const targets = await readTargets(bench, scenario);
  const load = steady(sizes);
  const alone = await measureLoad(scenario, 'nobody reads', load, way, bench);
  show(alone);

  const order = {
    targets,
    headers: stack.headers,
    pace: { perSecond: READS_PER_SECOND },
    // As long as the messages, and one of each kind at least.
    count: Math.max(KINDS, Math.round((load.count * READS_PER_SECOND) / STEADY_PER_SECOND)),
  };
  const meter = await Meter.start(bench);
  const [finished, { answerMs, byKind, refused }] = await Promise.all([
    sendAll(way, load, workers),
    workers.reader.ask<ReadReport>({ kind: 'read', order }),
  ]);
  const cost = await meter.read(finished.collected.distinct);
  const run = `${READS_PER_SECOND} reads/s`;
  const beside = measurementOf({ scenario, log: stack.log, run }, 1, finished, cost);
  const kinds = Object.entries(byKind).map(([kind, { p99 }]) => [`read_${kind}_p99_ms`, p99] as const);
  show({
    ...beside,
    figures: {
      p99_to_that_without_reads: round(beside.endToEndMs.p99 / alone.endToEndMs.p99),
      reads: answerMs.count,
      reads_refused: refused,
      read_p50_ms: answerMs.p50,
      read_p99_ms: answerMs.p99,
      ...Object.fromEntries(kinds),
    },
  });
}

/** Each kind of read, in turns. */
async function readTargets({ stack }: Bench, account: string): Promise<ReadTarget[]> {
  const { rest } = stack.tenant;
  const list = `/v1/accounts/${account}/deliveries?status=delivered&limit=${DIFFERENT}`;
  const deliveries = await waitFor(
    async () => {
      const { data } = await rest.ask<{ data: SeenDelivery[] }>('GET', list);
      return data.length > 0 && data;
    },
    { what: 'deliveries in the history' },
  );
  const [first] = deliveries;
  const attempts = await rest.ask<{ data: SeenAttempt[] }>('GET', `/v1/deliveries/${first?.id}/attempts`);
  if (attempts.data.length === 0) throw new Error('a delivery without attempts is no history');
  return deliveries.flatMap(({ id, message_id, endpoint_id }) =>
    [
      { kind: 'deliveries', path: `/v1/accounts/${account}/deliveries?limit=50` },
      { kind: 'endpoint', path: `/v1/accounts/${account}/deliveries?endpoint_id=${endpoint_id}&limit=50` },
      { kind: 'messages', path: `/v1/accounts/${account}/messages?limit=50` },
      { kind: 'delivery', path: `/v1/deliveries/${id}` },
      { kind: 'attempts', path: `/v1/deliveries/${id}/attempts` },
      { kind: 'message', path: `/v1/messages/${message_id}` },
      { kind: 'explain', path: `/v1/messages/${message_id}/explain` },
    ].map(({ kind, path }) => ({ kind, url: stack.tenant.rest.url + path })),
  );
}
