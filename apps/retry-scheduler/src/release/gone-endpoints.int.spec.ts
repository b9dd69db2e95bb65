import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { topics } from '@posthaste/contracts';
import { MemoryBroker, MemoryEventLog } from '@posthaste/event-log';
import { waitFor } from '@posthaste/test-kit';
import { ReleaseStage } from '../proving/release-stage.js';
import { configured, endpointOf, sampleMessage } from '../sample-facts.js';
import { GoneEndpoints } from './gone-endpoints.js';

let stage: ReleaseStage;

beforeAll(async () => {
  stage = await ReleaseStage.open();
}, 60_000);
afterAll(() => stage.close());

it('hastens what is owed to an endpoint that is gone once the database, which failed, is well again', async () => {
  const message = sampleMessage();
  await stage.owe([message], { dueInMs: 36_000_000 });
  await stage.pool.query('alter table schedule.due rename to away');
  const failures: unknown[] = [];
  const hastened: string[] = [];
  const log = new MemoryEventLog({ broker: new MemoryBroker() });
  await log.admin.ensureTopics([topics.config], 'single');
  const gone = new GoneEndpoints({
    pool: stage.pool,
    reader: log.reader,
    onHastened: (endpoints) => hastened.push(...endpoints),
    onFailure: (error) => failures.push(error),
    onUnreadable: (_, error) => failures.push(error),
  });
  await gone.start();
  const state = configured(endpointOf(message), 2, false);
  await log.producer.append([{ topic: topics.config, ...topics.config.encode(state) }]);
  await waitFor(() => failures.length > 0);
  expect(hastened).toEqual([]);

  await stage.pool.query('alter table schedule.away rename to due');
  await waitFor(() => hastened.length > 0);
  expect(hastened).toEqual([endpointOf(message)]);
  expect(await stage.countOf('due_at <= extract(epoch from now()) * 1000')).toBe(1);
  await gone.stop();
  await log.close();
}, 30_000);
