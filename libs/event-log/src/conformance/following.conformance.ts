import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { EventLog } from '../port.js';
import { eventually, FILLER_KEY, type LogUnderTest, newTopic, readAll, textRecord } from './harness.js';

/** Topics read without a group: the configuration every process keeps in memory. */
export function followingConformance(underTest: () => LogUnderTest): void {
  let log: EventLog;
  beforeEach(async () => {
    log = await underTest().open();
  });
  afterEach(() => log.close());

  it('is caught up at once on an empty topic, and follows from its first record', async () => {
    const topic = newTopic(3, { policy: 'compact' });
    await log.admin.ensureTopics([topic], 'single');
    const seen: string[] = [];
    const following = await log.reader.follow(topic, (record) => void seen.push(record.value.toString()));
    await following.caughtUp;
    expect(seen).toEqual([]);
    await log.producer.append([textRecord(topic, 'a', 'first')]);
    await eventually('the first record is followed', () => seen.length === 1);
    await following.close();
  });

  it('has read everything when caught up, goes on following, and gives nothing after it was closed', async () => {
    const topic = newTopic(2, { policy: 'compact' });
    await log.admin.ensureTopics([topic], 'single');
    const many = Array.from({ length: 1_200 }, (_, n) => textRecord(topic, `k${n % 400}`, `${n}`));
    await log.producer.append(many);
    const state = new Map<string, string>();
    const following = await log.reader.follow(
      topic,
      (record) => void state.set(record.key, record.value.toString()),
    );
    await following.caughtUp;
    expect(state.size).toBe(400);
    expect([...state.entries()].every(([key, text]) => Number(text) === 800 + Number(key.slice(1)))).toBe(
      true,
    );
    await log.producer.append([textRecord(topic, 'k7', 'new')]);
    await eventually('the change is followed', () => state.get('k7') === 'new');
    await following.close();
    await log.producer.append([textRecord(topic, 'k8', 'unseen')]);
    const [record] = (await readAll(log, topic)).filter(({ value }) => value.toString() === 'unseen');
    expect(record?.key).toBe('k8');
    expect(state.get('k8')).toBe('808');
  });

  it('goes on past a record its reader throws at', async () => {
    const topic = newTopic(1, { policy: 'compact' });
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append(['good', 'bad', 'better'].map((text) => textRecord(topic, text, text)));
    const seen: string[] = [];
    const following = await log.reader.follow(topic, (record) => {
      if (record.key === 'bad') throw new Error('cannot read this');
      seen.push(record.key);
    });
    await following.caughtUp;
    expect(seen).toEqual(['good', 'better']);
    await following.close();
  });

  it('keeps the last record of every key over a compaction, and offsets as they were', async () => {
    const topic = newTopic(1, { policy: 'compact' });
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append(Array.from({ length: 50 }, (_, n) => textRecord(topic, `k${n % 5}`, `${n}`)));
    const before = await readAll(log, topic);
    await underTest().compact(topic);
    const ends = await log.admin.endOffsets(topic);
    const kept = (await readAll(log, topic)).filter((record) => record.key !== FILLER_KEY);
    expect(kept).toEqual(before.slice(-5));
    const [position] = await log.producer.append([textRecord(topic, 'k0', 'next')]);
    expect(position?.offset).toBe(ends[0]?.offset);
  });
}
