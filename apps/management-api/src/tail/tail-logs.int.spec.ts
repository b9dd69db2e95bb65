import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type EventLog, openEventLog } from '@posthaste/event-log';
import { startTemporaryPostgres } from '@posthaste/local-stack';
import { kafkaForTests } from '@posthaste/test-kit';
import { followTraffic } from '../proving/tail-clients.js';

// What tail.spec.ts proves on a log in memory, on those that are used: there seeks and pauses take time, and meet
// fetches that are on their way.

const kafka = kafkaForTests();
const logs: [name: string, open: () => Promise<{ log: EventLog; stop: () => Promise<void> }>][] = [
  [
    'PostgreSQL',
    async () => {
      const server = await startTemporaryPostgres('tail');
      const log = await openEventLog({ kind: 'postgres', url: server.url });
      return { log, stop: () => server.remove() };
    },
  ],
];
if (kafka) {
  logs.push([
    'Kafka',
    async () => {
      const cluster = await kafka.connect();
      const options = { brokers: cluster.brokers, clientId: 'tail-spec', replicationFactor: 1 };
      return { log: await openEventLog({ kind: 'kafka', ...options }), stop: () => cluster.stop() };
    },
  ]);
}

describe.each(logs)('the tail on the log of %s', (_, open) => {
  let log: EventLog;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    ({ log, stop } = await open());
  }, 120_000);
  afterAll(async () => {
    await log.close();
    await stop();
  }, 60_000);

  it('gives everybody every attempt after their place, also to who must be read for again', async () => {
    const limits = { keptBytes: 20_000, stalledMs: 5_000, lingerMs: 200 };
    const ends = await followTraffic({ log, limits, steps: 60, comeEvery: 8 });
    expect(ends).not.toContain('interrupted');
  }, 120_000);
});
