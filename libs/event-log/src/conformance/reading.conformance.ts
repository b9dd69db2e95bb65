import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { partitionOf } from '../partitioner.js';
import { PartitionWindow } from '../partition-window.js';
import type { EventLog } from '../port.js';
import {
  eventually,
  keysByPartition,
  type LogUnderTest,
  Member,
  newGroup,
  newTopic,
  readAll,
  textRecord,
} from './harness.js';
import { partitionKey } from '../partition-key.js';

/** Appending, and reading as the only member of a group. */
export function readingConformance(underTest: () => LogUnderTest): void {
  let log: EventLog;
  const members: Member[] = [];
  const join = async (...args: Parameters<typeof Member.join>): Promise<Member> => {
    const member = await Member.join(...args);
    members.push(member);
    return member;
  };
  beforeEach(async () => {
    log = await underTest().open();
  });
  afterEach(async () => {
    await Promise.all(members.splice(0).map((member) => member.consumer.stop()));
    await log.close();
  });

  it('gives back records byte by byte, with key, meta and trace, at the positions append answered', async () => {
    const topic = newTopic(3);
    await log.admin.ensureTopics([topic], 'single');
    const before = Date.now();
    const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const appended = await log.producer.append([
      { topic, key: 'bytes', value, meta: '{"a":"ü \\" \\\\ \\n"}', trace },
      { topic, key: 'bytes', value: Buffer.from('x') },
    ]);
    const member = await join(log, newGroup(), [topic]);
    await eventually('both records arrive', () => member.taken.length === 2);
    const partition = partitionOf('bytes', 3);
    expect(appended.map(partitionKey)).toEqual([`${topic.name}/${partition}`, `${topic.name}/${partition}`]);
    expect(member.taken.map((record) => record.offset)).toEqual(appended.map((position) => position.offset));
    const [first, second] = await readAll(log, topic);
    expect(first?.value.equals(value)).toBe(true);
    expect(first).toMatchObject({ key: 'bytes', meta: '{"a":"ü \\" \\\\ \\n"}', trace });
    expect(second?.meta).toBeUndefined();
    expect(second?.trace).toBeUndefined();
    // A day of difference between two clocks would be a wrong unit or a wrong zone, not a wrong clock.
    expect(Math.abs((first?.appendedAt ?? 0) - before)).toBeLessThan(86_400_000 / 2);
  });

  it('keeps the order of each key, over batches, topics and concurrent appends', async () => {
    const topics = [newTopic(4), newTopic(2)];
    await log.admin.ensureTopics(topics, 'single');
    const member = await join(log, newGroup(), topics);
    const keys = Array.from({ length: 20 }, (_, i) => `account-${i}`);
    await Promise.all(
      keys.map(async (key) => {
        for (let n = 0; n < 30; n++)
          await log.producer.append(topics.map((topic) => textRecord(topic, key, `${n}`)));
      }),
    );
    await eventually('all records arrive', () => member.taken.length >= 20 * 30 * 2);
    for (const topic of topics) {
      for (const key of keys) {
        const seen = member.taken
          .filter((r) => r.key === key && r.topic === topic.name)
          .map((r) => Number(r.text));
        expect(seen).toEqual(Array.from({ length: 30 }, (_, n) => n));
      }
    }
  });

  it('keeps the order inside one large append', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    const records = Array.from({ length: 1_700 }, (_, n) => textRecord(topic, `key-${n % 5}`, `${n}`));
    const positions = await log.producer.append(records);
    expect(positions).toHaveLength(1_700);
    const stored = await readAll(log, topic);
    for (let k = 0; k < 5; k++) {
      const seen = stored
        .filter((record) => record.key === `key-${k}`)
        .map((record) => Number(record.value.toString()));
      expect(seen).toEqual(Array.from({ length: 340 }, (_, i) => i * 5 + k));
    }
  });

  it('knows ends, starts and the lag of a group', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    const [key0 = '', key1 = ''] = keysByPartition(2, partitionOf);
    await log.producer.append([0, 1, 2].map((n) => textRecord(topic, key0, `${n}`)));
    await log.producer.append([textRecord(topic, key1, 'x')]);
    const group = newGroup();
    const ends = await log.admin.endOffsets(topic);
    expect(ends.map((end) => end.offset)).toEqual([3, 1]);
    expect((await log.admin.startOffsets(topic)).map((start) => start.offset)).toEqual([0, 0]);
    const member = await join(log, group, [topic]);
    await eventually('all records arrive', () => member.taken.length === 4);
    expect((await log.admin.lag(group, [topic])).map((p) => p.lag)).toEqual([3, 1]);
    await member.consumer.commit([{ topic: topic.name, partition: 0, next: 2, metadata: '' }]);
    expect((await log.admin.lag(group, [topic])).map((p) => p.lag)).toEqual([1, 1]);
  });

  it('hands nothing on while a partition is paused, goes on where it was, and reads the others meanwhile', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    const [key0 = '', key1 = ''] = keysByPartition(2, partitionOf);
    const member = await join(log, newGroup(), [topic]);
    const paused = [{ topic: topic.name, partition: 0 }];
    await log.producer.append([textRecord(topic, key0, 'before')]);
    await eventually('the first record arrives', () => member.taken.length === 1);
    member.consumer.pause(paused);
    await log.producer.append([textRecord(topic, key0, 'held'), textRecord(topic, key1, 'other')]);
    await eventually('the other partition is read', () => member.texts().includes('other'));
    expect(member.texts()).toEqual(['before', 'other']);
    member.consumer.resume(paused);
    await eventually('the held record arrives', () => member.texts().includes('held'));
    expect(member.texts()).toEqual(['before', 'other', 'held']);
  });

  it('reads again from where it is told to', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append([0, 1, 2, 3, 4].map((n) => textRecord(topic, 'k', `${n}`)));
    const member = await join(log, newGroup(), [topic]);
    await eventually('all records arrive', () => member.taken.length === 5);
    member.consumer.seek([{ topic: topic.name, partition: 0, offset: 3 }]);
    await eventually('the last two arrive again', () => member.taken.length === 7);
    expect(member.texts().slice(5)).toEqual(['3', '4']);
  });

  it('hands nothing on after a seek that was fetched before it', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    // Together more than one fetch brings.
    const long = (n: number): string => `${n}`.padStart(400, '0');
    await log.producer.append(Array.from({ length: 2_000 }, (_, n) => textRecord(topic, 'k', long(n))));
    const expectedStarts: number[] = [];
    const starts: number[] = [];
    let seeks = 0;
    const member = await join(log, newGroup(), [topic], {
      maxBatchRecords: 50,
      onBatch: (batch) => {
        if (expectedStarts.length > starts.length) starts.push(batch.records[0]?.offset ?? -1);
        if (seeks++ >= 20) return;
        // In a later turn of the event loop, when the next fetch is under way.
        setTimeout(() => {
          if (expectedStarts.length > starts.length) return;
          const offset = seeks * 10;
          expectedStarts.push(offset);
          member.consumer.seek([{ topic: topic.name, partition: 0, offset }]);
        }, 0);
      },
    });
    await eventually(
      'the end is read',
      () =>
        member.texts().at(-1) === long(1_999) && starts.length > 0 && starts.length === expectedStarts.length,
    );
    expect(starts).toEqual(expectedStarts);
  });

  it('starts where onAssigned says, before the committed position and the oldest record', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append([0, 1, 2, 3].map((n) => textRecord(topic, 'k', `${n}`)));
    const startAt = (): { topic: string; partition: number; offset: number }[] => [
      { topic: topic.name, partition: 0, offset: 2 },
    ];
    const member = await join(log, newGroup(), [topic], { startAt });
    await eventually('two records arrive', () => member.taken.length === 2);
    expect(member.texts()).toEqual(['2', '3']);
  });

  it('brings the committed watermark and its metadata back after a restart', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append(Array.from({ length: 10 }, (_, n) => textRecord(topic, 'k', `${n}`)));
    const group = newGroup();
    const first = await join(log, group, [topic]);
    await eventually('all records arrive', () => first.taken.length === 10);
    const window = new PartitionWindow(0);
    for (const { offset } of first.taken) window.add(offset, 1);
    for (const done of [0, 1, 2, 5, 7]) window.done(first.taken[done]?.offset ?? -1);
    const ref = { topic: topic.name, partition: 0 };
    await first.consumer.commit([{ ...ref, next: window.lowWatermark, metadata: window.metadata() }]);
    await first.consumer.stop();
    const second = await join(log, group, [topic]);
    await eventually('the rest arrives', () => second.taken.length === 7);
    const [assigned] = second.assignments;
    const resumed = PartitionWindow.resume(assigned?.committed ?? null, assigned?.metadata ?? '');
    const open = second.taken.filter(({ offset }) => resumed.add(offset, 1)).map((record) => record.text);
    expect(open).toEqual(['3', '4', '6', '8', '9']);
  });

  it('takes commit metadata of 4,096 characters', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const group = newGroup();
    const first = await join(log, group, [topic]);
    await eventually('the partition is ours', () => first.owned.size === 1);
    const metadata = 'm'.repeat(4_096);
    await first.consumer.commit([{ topic: topic.name, partition: 0, next: 0, metadata }]);
    await first.consumer.stop();
    const second = await join(log, group, [topic]);
    await eventually('the partition is ours again', () => second.assignments.length === 1);
    expect(second.assignments[0]).toMatchObject({ committed: 0, metadata });
  });

  it('hands on everything to a consumer that gathers, what trickles in and what comes at once', async () => {
    const topic = newTopic(3);
    await log.admin.ensureTopics([topic], 'single');
    const member = await join(log, newGroup(), [topic], { gatherMs: 100 });
    await log.producer.append([textRecord(topic, 'k', 'alone')]);
    await eventually('the first record arrives', () => member.taken.length === 1);
    const many = Array.from({ length: 2_000 }, (_, n) => textRecord(topic, `k${n % 30}`, `${n}`));
    await log.producer.append(many);
    await eventually('all arrive', () => member.taken.length === 2_001);
  });

  it('moves on past a record nobody can decode', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append(['{"n":1}', 'no json', '{"n":3}'].map((text) => textRecord(topic, 'k', text)));
    const decoded: unknown[] = [];
    const aside: number[] = [];
    const member = await join(log, newGroup(), [topic], {
      onBatch: (batch) => {
        for (const record of batch.records) {
          try {
            decoded.push(JSON.parse(record.value.toString()));
          } catch {
            aside.push(record.offset);
          }
        }
      },
    });
    await eventually('all three were looked at', () => decoded.length + aside.length === 3);
    expect(decoded).toEqual([{ n: 1 }, { n: 3 }]);
    expect(aside).toHaveLength(1);
    expect(member.fatal).toEqual([]);
  });

  it('refuses a record above the limit, alone, and appends after it was closed', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const large = { topic, key: 'k', value: Buffer.alloc(1_100_000) };
    const [refused, taken] = await Promise.allSettled([
      log.producer.append([large]),
      log.producer.append([textRecord(topic, 'k', 'small')]),
    ]);
    expect(refused).toMatchObject({
      status: 'rejected',
      reason: { code: 'record_too_large', retryable: false },
    });
    expect(taken.status).toBe('fulfilled');
    await log.producer.close();
    await expect(log.producer.append([textRecord(topic, 'k', 'late')])).rejects.toMatchObject({
      code: 'log_closed',
    });
  });

  it('gives records larger together than one fetch in full', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    for (let n = 0; n < 12; n++) {
      await log.producer.append([{ topic, key: `key-${n}`, value: Buffer.alloc(600_000, n) }]);
    }
    const member = await join(log, newGroup(), [topic]);
    // Some may come twice, when the group is formed anew meanwhile.
    const keys = (): number => new Set(member.taken.map((record) => record.key)).size;
    await eventually('all twelve arrive', () => keys() === 12);
  });
}
