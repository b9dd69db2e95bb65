import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { kafkaForTests } from '@posthaste/test-kit';
import type { Admin, ConsumerCrashEvent, Kafka } from 'kafkajs';
import { newGroup, newTopic, textRecord } from '../conformance/harness.js';
import type { EventLog } from '../port.js';
import { GroupMember } from './group-member.js';
import { createKafkaClient } from './kafka-client.js';
import { KafkaEventLog } from './kafka-event-log.js';

const kafka = kafkaForTests();

(kafka ? describe : describe.skip)('a member of a Kafka group', () => {
  let cluster: { brokers: string[]; stop(): Promise<void> };
  let log: EventLog;
  let admin: Admin;
  const newClient = (): Kafka =>
    createKafkaClient({ brokers: cluster.brokers, clientId: 'member-spec', hooks: {} });
  const topic = newTopic(2);

  beforeAll(async () => {
    cluster = (await kafka?.connect()) as typeof cluster;
    log = await KafkaEventLog.open({ brokers: cluster.brokers, clientId: 'member-spec' });
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append([textRecord(topic, 'k', 'a')]);
    admin = newClient().admin();
    await admin.connect();
  }, 120_000);

  afterAll(async () => {
    await admin.disconnect();
    await log.close();
    await cluster.stop();
  }, 30_000);

  const membersOf = async (group: string): Promise<number> => {
    const { groups } = await admin.describeGroups([group]);
    return groups[0]?.members.length ?? 0;
  };

  it.each(['ApiVersions', 'Metadata', 'GroupCoordinator', 'JoinGroup', 'SyncGroup'])(
    'is in no group when it was ended while it joins, after %s',
    async (request) => {
      const group = newGroup();
      const member = new GroupMember(newClient(), { groupId: group });
      const { consumer } = member;
      const { REQUEST } = consumer.events;
      const ended = new Promise<void>((resolve, reject) => {
        consumer.on(REQUEST, ({ payload }) => {
          if (payload.apiName === request) member.end().then(resolve, reject);
        });
      });
      await member.start([topic.name], { eachBatch: () => Promise.resolve() }).catch(() => undefined);
      await ended;
      expect(await membersOf(group)).toBe(0);
    },
    60_000,
  );

  it('does not start again from a crash that was under way when it was ended', async () => {
    const group = newGroup();
    const member = new GroupMember(newClient(), { groupId: group, retry: { retries: 0 } });
    const { consumer } = member;
    const crashed = new Promise<ConsumerCrashEvent['payload']>((resolve) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload));
    });
    const ended = new Promise<void>((resolve, reject) => {
      const eachBatch = (): Promise<void> => {
        member.end().then(resolve, reject);
        return Promise.reject(new Error('cannot be read'));
      };
      member.start([topic.name], { eachBatch }).catch(reject);
    });
    await ended;
    expect((await crashed).restart).toBe(false);
    expect(await membersOf(group)).toBe(0);
  }, 60_000);
});
