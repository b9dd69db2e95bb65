import { expect, it } from '@jest/globals';
import { newId, topics } from '@posthaste/contracts';
import { MemoryEventLog, type Position } from '@posthaste/event-log';
import { sampleMessage } from '../history/sample-facts.js';
import { historyHorizon } from './horizon.js';

const LATE_MS = 15_000;

it('the horizon of history follows the log: only up to what was appended and then projected, and a little less', async () => {
  const log = new MemoryEventLog();
  await log.admin.ensureTopics([topics.messages], 'single');
  const place = { tenant: newId('tenant'), account: newId('account'), endpoint: newId('endpoint') };
  const append = () =>
    log.producer.append([
      { topic: topics.messages, ...topics.messages.encode(sampleMessage({ ...place, at: Date.now() })) },
    ]);
  /** What history was asked to reach, and how it says that it has. */
  const asked: { ends: Position[]; reached: () => void }[] = [];
  const whenReached = (ends: Position[]): Promise<void> =>
    new Promise((reached) => asked.push({ ends, reached }));
  const stopping = new AbortController();
  const horizon = historyHorizon(log, { whenReached }, stopping.signal);
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  await append();
  const before = Date.now();
  expect(await horizon()).toBe(0);
  // What comes now is not waited for.
  await append();
  expect(await horizon()).toBe(0);
  expect(asked.map(({ ends }) => ends.map(({ offset }) => offset))).toEqual([[1]]);
  asked[0]?.reached();
  await settled();
  const known = await horizon();
  expect(known).toBeGreaterThanOrEqual(before - LATE_MS);
  expect(known).toBeLessThanOrEqual(Date.now() - LATE_MS);
  expect(asked[1]?.ends.map(({ offset }) => offset)).toEqual([2]);
  // Waiting is over because the process ends: history has reached nothing.
  stopping.abort();
  asked[1]?.reached();
  await settled();
  expect(await horizon()).toBe(known);
  await log.close();
});
