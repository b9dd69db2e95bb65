import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, jest } from '@jest/globals';
import { topics } from '@posthaste/contracts';
import { type EventLog, MemoryEventLog, type Position } from '@posthaste/event-log';
import { AsOfNow } from './as-of-now.js';
import { sampleMessage } from './sample-facts.js';

/** A history that gets there when it is told to. */
class Positions {
  readonly asked: { ends: Position[]; arrive: () => void }[] = [];

  whenReached(ends: Position[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.asked.push({ ends, arrive: resolve });
      signal.addEventListener('abort', () => {
        resolve();
      });
    });
  }
}

const at = { tenant: 'ten_1', account: 'acc_1', endpoint: 'ep_1', at: 1 };

async function logWith(messages: number): Promise<EventLog> {
  const log = new MemoryEventLog();
  await log.admin.ensureTopics([topics.messages, topics.deliveries], 'single');
  for (let n = 0; n < messages; n++) await append(log);
  return log;
}

function append(log: EventLog): Promise<unknown> {
  return log.producer.append([{ topic: topics.messages, ...topics.messages.encode(sampleMessage(at)) }]);
}

const turns = async (): Promise<void> => {
  for (let n = 0; n < 5; n++) await setImmediate();
};
const sum = (ends: Position[]): number => ends.reduce((total, { offset }) => total + offset, 0);

describe('history as of now', () => {
  it('is looked for once for all who ask meanwhile, up to where the log ended after they asked', async () => {
    const log = await logWith(1);
    const positions = new Positions();
    const asOfNow = new AsOfNow(log, positions, new AbortController().signal);
    const first = asOfNow.reached();
    await turns();
    await append(log);
    const others = [asOfNow.reached(), asOfNow.reached()];
    await turns();
    expect(positions.asked.map(({ ends }) => sum(ends))).toEqual([1]);
    positions.asked[0]?.arrive();
    expect(await first).toBe(true);
    await turns();
    expect(positions.asked.map(({ ends }) => sum(ends))).toEqual([1, 2]);
    positions.asked[1]?.arrive();
    expect(await Promise.all(others)).toEqual([true, true]);
  });

  it('is given up when history stays behind, when it stops, and when the log is away, each time anew', async () => {
    const log = await logWith(1);
    const positions = new Positions();
    const stopping = new AbortController();
    const timeout = new AbortController();
    jest.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(timeout.signal);
    const asOfNow = new AsOfNow(log, positions, stopping.signal);
    const late = asOfNow.reached();
    await turns();
    timeout.abort();
    expect(await late).toBe(false);

    jest.spyOn(log.admin, 'endOffsets').mockRejectedValueOnce(new Error('away'));
    expect(await asOfNow.reached()).toBe(false);

    const again = asOfNow.reached();
    await turns();
    positions.asked.at(-1)?.arrive();
    expect(await again).toBe(true);

    const stopped = asOfNow.reached();
    await turns();
    stopping.abort();
    expect(await stopped).toBe(false);
  });
});
