import { afterEach, expect, it } from '@jest/globals';
import type { EventLog } from '../port.js';
import {
  eventually,
  type LogUnderTest,
  Member,
  newGroup,
  newTopic,
  readAll,
  textRecord,
  type TestTuning,
} from './harness.js';

/** A log that does not answer, answers too late, or answers everything but fetches. */
export function faultsConformance(underTest: () => LogUnderTest, patienceMs: number): void {
  const opened: EventLog[] = [];
  const members: Member[] = [];
  const open = async (tuning: TestTuning = {}): Promise<EventLog> => {
    const log = await underTest().open(tuning);
    opened.push(log);
    return log;
  };
  afterEach(async () => {
    await Promise.all(members.splice(0).map((member) => member.consumer.stop()));
    await Promise.all(opened.splice(0).map((log) => log.close()));
  });

  it('rejects appends while the log is gone, keeps its memory bounded, and recovers by itself', async () => {
    const log = await open({ ackTimeoutMs: patienceMs, maxQueuedBytes: 1_000_000 });
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    const member = await Member.join(log, newGroup(), [topic]);
    members.push(member);
    const acknowledged = ['before'];
    await log.producer.append([textRecord(topic, 'k', 'before')]);
    await eventually('the first record arrives', () => member.texts().includes('before'));
    await underTest().stopBroker();
    const large = (n: number) => ({ topic, key: `k${n}`, value: Buffer.alloc(100_000, 97) });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => log.producer.append([large(n)])),
    );
    const codes = outcomes.map((o) =>
      o.status === 'rejected' ? (o.reason as { code: string }).code : 'appended',
    );
    expect(codes.filter((code) => code === 'log_unavailable').length).toBeGreaterThanOrEqual(9);
    expect(codes.filter((code) => code === 'log_queue_full').length).toBeGreaterThanOrEqual(10);
    expect(codes).not.toContain('appended');
    await underTest().startBroker();
    for (let n = 0; acknowledged.length < 4 && n < 60; n++) {
      await log.producer.append([textRecord(topic, 'k', `after-${n}`)]).then(
        () => acknowledged.push(`after-${n}`),
        () => undefined,
      );
    }
    expect(acknowledged).toHaveLength(4);
    await eventually('what was acknowledged arrives', () =>
      acknowledged.every((text) => member.texts().includes(text)),
    );
    expect(member.fatal).toEqual([]);
  });

  it('keeps what it acknowledged when acknowledgements get lost; nothing is missing, some may be twice', async () => {
    const log = await open({ ackTimeoutMs: patienceMs });
    const topic = newTopic(3);
    await log.admin.ensureTopics([topic], 'single');
    const acknowledged: string[] = [];
    const append = async (n: number): Promise<boolean> => {
      const record = textRecord(topic, `k${n % 7}`, `${n}`);
      const isLanded = await log.producer.append([record]).then(
        () => true,
        () => false,
      );
      if (isLanded) acknowledged.push(`${n}`);
      return isLanded;
    };
    // A busy machine may take longer than the log has patience, and the connection a while to come back.
    const appendInTheEnd = async (n: number): Promise<void> => {
      while (!(await append(n)));
    };
    const hundredFrom = (from: number): number[] => Array.from({ length: 100 }, (_, i) => from + i);
    await Promise.all(hundredFrom(0).map(appendInTheEnd));
    const heal = await underTest().loseAcknowledgements();
    await Promise.all(hundredFrom(100).map(append));
    await heal();
    await Promise.all(hundredFrom(200).map(appendInTheEnd));
    const reader = await open();
    const stored = (await readAll(reader, topic)).map((record) => record.value.toString());
    expect(acknowledged.length).toBeGreaterThanOrEqual(200);
    expect(acknowledged.filter((text) => !stored.includes(text))).toEqual([]);
    console.info(
      `${acknowledged.length} acknowledged, ${stored.length - new Set(stored).size} twice in the log`,
    );
  });

  it('says that consuming cannot go on when fetches bring nothing though records are ahead', async () => {
    const log = await open({ stallTimeoutMs: patienceMs });
    const [busy, held, empty] = [newTopic(1), newTopic(1), newTopic(1)];
    await log.admin.ensureTopics([busy, held, empty], 'single');
    const [stalled, paused, idle] = [
      await Member.join(log, newGroup(), [busy]),
      await Member.join(log, newGroup(), [held]),
      await Member.join(log, newGroup(), [empty]),
    ];
    members.push(stalled, paused, idle);
    await eventually('all own their partition', () => members.every((member) => member.owned.size === 1));
    paused.consumer.pause([{ topic: held.name, partition: 0 }]);
    await log.producer.append([textRecord(busy, 'k', 'first'), textRecord(held, 'k', 'held')]);
    await eventually('the first record arrives', () => stalled.taken.length === 1);
    const heal = await underTest().stallFetching();
    await log.producer.append([textRecord(busy, 'k', 'second')]);
    await eventually('the stall is noticed', () => stalled.fatal.length > 0);
    expect(stalled.fatal[0]?.message).toContain(`${busy.name}/0`);
    // Paused on purpose, and nothing to read: both were watched for longer than the one that stalled.
    expect([paused.fatal, idle.fatal]).toEqual([[], []]);
    await heal();
    paused.consumer.resume([{ topic: held.name, partition: 0 }]);
    await eventually('the held record arrives', () => paused.taken.length === 1);
  });
}
