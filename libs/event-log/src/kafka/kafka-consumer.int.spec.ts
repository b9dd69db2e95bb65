import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { kafkaForTests, waitFor } from '@posthaste/test-kit';
import type { Admin, Kafka } from 'kafkajs';
import { eventually, Member, newGroup, newTopic, readAll, textRecord } from '../conformance/harness.js';
import { partitionKey } from '../partition-key.js';
import type { EventLog, Position } from '../port.js';
import { createKafkaClient, defaultTuning } from './kafka-client.js';
import { KafkaEventLog } from './kafka-event-log.js';
import { KafkaReader } from './kafka-reader.js';
import type { RenewableClient } from './renewable-client.js';

const kafka = kafkaForTests();

(kafka ? describe : describe.skip)('consuming from Kafka', () => {
  let cluster: { brokers: string[]; stop(): Promise<void> };
  let raw: Kafka;
  let log: EventLog;
  const members: Member[] = [];
  const opened: EventLog[] = [];

  const open = async (): Promise<EventLog> => {
    const another = await KafkaEventLog.open({ brokers: cluster.brokers, clientId: 'spec' });
    opened.push(another);
    return another;
  };
  const join = async (...args: Parameters<typeof Member.join>): Promise<Member> => {
    const member = await Member.join(...args);
    members.push(member);
    return member;
  };

  beforeAll(async () => {
    cluster = (await kafka?.connect()) as typeof cluster;
    raw = createKafkaClient({ brokers: cluster.brokers, clientId: 'raw', hooks: {} });
    log = await KafkaEventLog.open({ brokers: cluster.brokers, clientId: 'spec' });
  }, 120_000);

  afterEach(async () => {
    await Promise.all(members.splice(0).map((member) => member.consumer.stop()));
    await Promise.all(opened.splice(0).map((another) => another.close()));
  });

  afterAll(async () => {
    await log.close();
    await cluster.stop();
  }, 30_000);

  it('hands on no record before the positions asked for, though a rejoin resets them to nothing committed', async () => {
    const topic = newTopic(4);
    await log.admin.ensureTopics([topic], 'single');
    const records = Array.from({ length: 200 }, (_, n) => textRecord(topic, `key-${n}`, `${n}`));
    await log.producer.append(records);
    const group = newGroup();
    const next = new Map<string, Position>();
    const first = await join(log, group, [topic], {
      startAt: (partitions) => partitions.map((ref) => next.get(partitionKey(ref)) ?? { ...ref, offset: 0 }),
      onBatch: ({ topic: name, partition, next: offset }) => {
        next.set(`${name}/${partition}`, { topic: name, partition, offset });
      },
    });
    await eventually('all are read', () => first.taken.length === 200);
    const second = await join(await open(), group, [topic]);
    await eventually('they share', () => first.owned.size === 2 && second.owned.size === 2);
    await log.producer.append(records.map((record) => ({ ...record, value: Buffer.from('new') })));
    const kept = (): string[] =>
      first.taken.filter((r) => first.owned.has(partitionKey(r))).map((r) => r.text);
    const ofKept = first.taken.filter((r) => first.owned.has(partitionKey(r))).length;
    await eventually(
      'the new ones are read',
      () => kept().filter((text) => text === 'new').length === ofKept,
    );
    expect(kept().filter((text) => text !== 'new')).toHaveLength(ofKept);
  }, 60_000);

  it('takes a commit made while it is revoked, so that the next owner goes on there', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append(Array.from({ length: 40 }, (_, n) => textRecord(topic, `key-${n}`, `${n}`)));
    const group = newGroup();
    const first = await join(log, group, [topic]);
    await eventually('all are read', () => first.taken.length === 40);
    first.commitsItself = true;
    const second = await join(await open(), group, [topic]);
    await eventually('they share', () => first.owned.size === 1 && second.owned.size === 1);
    const [assigned] = second.assignments;
    expect(assigned?.committed).toBe(first.taken.filter((r) => r.partition === assigned?.partition).length);
    expect(second.taken).toEqual([]);
  }, 60_000);

  it('goes on at the oldest record kept when its position has expired', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const texts = ['a', 'b', 'c', 'd'];
    await log.producer.append(texts.map((text) => textRecord(topic, 'k', text)));
    const group = newGroup();
    const first = await join(log, group, [topic]);
    await eventually('all are read', () => first.taken.length === 4);
    await first.consumer.commit([{ topic: topic.name, partition: 0, next: 1, metadata: '' }]);
    await first.consumer.stop();
    const admin = raw.admin();
    await admin.connect();
    // Without it the client knows of no topic.
    await admin.fetchTopicOffsets(topic.name);
    await admin.deleteTopicRecords({ topic: topic.name, partitions: [{ partition: 0, offset: '3' }] });
    await admin.disconnect();
    expect((await log.admin.startOffsets(topic)).map(({ offset }) => offset)).toEqual([3]);
    expect((await log.admin.lag(group, [topic])).map(({ lag }) => lag)).toEqual([1]);
    const second = await join(log, group, [topic]);
    await eventually('the kept one is read', () => second.taken.length === 1);
    expect(second.texts()).toEqual(['d']);
  }, 60_000);

  it('takes what trickled in together when it gathers', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    const batches: number[] = [];
    const member = await join(log, newGroup(), [topic], {
      gatherMs: 1_000,
      onBatch: (batch) => batches.push(batch.records.length),
    });
    for (let n = 0; n < 40; n++) await log.producer.append([textRecord(topic, `k${n}`, `${n}`)]);
    await eventually('all are read', () => member.taken.length === 40);
    expect(batches.length).toBeLessThan(20);
  }, 60_000);

  it('asks again where to start when onAssigned could not say', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append([textRecord(topic, 'k', 'a'), textRecord(topic, 'k', 'b')]);
    let asked = 0;
    const member = await join(log, newGroup(), [topic], {
      startAt: ([ref]) => {
        if (++asked < 3 || !ref) throw new Error('the store does not answer');
        return [{ ...ref, offset: 1 }];
      },
    });
    await eventually('it is read', () => member.taken.length === 1);
    expect([asked, member.texts()]).toEqual([3, ['b']]);
  }, 60_000);

  it('is fatal when records cannot be handed on', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const member = await join(log, newGroup(), [topic], {
      onBatch: () => {
        throw new Error('no room');
      },
    });
    await log.producer.append([textRecord(topic, 'k', 'a')]);
    await eventually('it is told', () => member.fatal.length === 1);
    expect(member.fatal[0]?.message).toBe('no room');
  }, 60_000);

  it('does not join a group that does not speak its protocol', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const group = newGroup();
    const foreigner = raw.consumer({ groupId: group });
    const joined = new Promise((resolve) => foreigner.on(foreigner.events.GROUP_JOIN, resolve));
    await foreigner.subscribe({ topics: [topic.name], fromBeginning: true });
    await foreigner.run({ eachMessage: async () => undefined });
    await joined;
    await expect(Member.join(log, group, [topic])).rejects.toThrow(/protocol/);
    await foreigner.disconnect();
  }, 60_000);

  it('leaves no group behind when a follower is closed', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const admin = raw.admin();
    await admin.connect();
    const groups = async (): Promise<string[]> =>
      (await admin.listGroups()).groups.map(({ groupId }) => groupId).filter((id) => id.includes(topic.name));
    const following = await log.reader.follow(topic, () => undefined);
    expect(await groups()).toHaveLength(1);
    await following.close();
    expect(await groups()).toEqual([]);
    await admin.disconnect();
  }, 60_000);

  it('is caught up over an aborted transaction at the end, whose records nobody sees', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append([textRecord(topic, 'k', 'real')]);
    const producer = raw.producer({ transactionalId: topic.name, maxInFlightRequests: 1 });
    await producer.connect();
    const transaction = await producer.transaction();
    await transaction.send({ topic: topic.name, messages: [{ key: 'k', value: 'aborted' }] });
    await transaction.abort();
    await producer.disconnect();
    // The real one, the aborted one, and the mark that says so.
    await waitFor(async () => (await log.admin.endOffsets(topic))[0]?.offset === 3, {
      what: 'the end of the abort',
    });
    expect((await readAll(log, topic)).map((record) => record.value.toString())).toEqual(['real']);
  }, 60_000);

  it('is caught up when the end it should reach has been cleaned away', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append(['a', 'b', 'c', 'd'].map((key) => textRecord(topic, key, key)));
    const admin = raw.admin();
    await admin.connect();
    // Ends that no record leads up to: what cleaning away the last records of a partition leaves.
    const beyond = {
      fetchTopicOffsets: async (name: string) =>
        (await admin.fetchTopicOffsets(name)).map((end) => ({ ...end, high: String(Number(end.high) + 3) })),
      deleteGroups: (groups: string[]) => admin.deleteGroups(groups),
    } as Partial<Admin> as Admin;
    const reader = new KafkaReader({
      newClient: () => raw,
      admin: { ask: <T>(work: (client: Admin) => Promise<T>) => work(beyond) } as RenewableClient<Admin>,
      clientId: 'spec',
      tuning: defaultTuning,
      hooks: {},
    });
    const seen: string[] = [];
    const following = await reader.follow(topic, (record) => seen.push(record.key));
    await following.caughtUp;
    expect(seen.sort()).toEqual(['a', 'b', 'c', 'd']);
    await following.close();
    await admin.disconnect();
  }, 60_000);
});
