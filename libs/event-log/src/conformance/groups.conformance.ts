import { afterEach, expect, it } from '@jest/globals';
import { partitionOf } from '../partitioner.js';
import type { EventLog } from '../port.js';
import {
  eventually,
  keysByPartition,
  type LogUnderTest,
  Member,
  newGroup,
  newTopic,
  textRecord,
} from './harness.js';

/** Several members, each on a log of its own as if in a process of its own. */
export function groupsConformance(underTest: () => LogUnderTest): void {
  const opened: EventLog[] = [];
  const members: Member[] = [];
  const open = async (): Promise<EventLog> => {
    const log = await underTest().open();
    opened.push(log);
    return log;
  };
  const join = async (...args: Parameters<typeof Member.join>): Promise<Member> => {
    const member = await Member.join(...args);
    members.push(member);
    return member;
  };
  afterEach(async () => {
    await Promise.all(members.splice(0).map((member) => member.consumer.stop()));
    await Promise.all(opened.splice(0).map((log) => log.close()));
  });

  it('gives partition i of both topics to one member, and every partition to exactly one', async () => {
    const topics = [newTopic(7), newTopic(7)];
    const log = await open();
    await log.admin.ensureTopics(topics, 'single');
    const group = newGroup();
    const trio = [
      await join(log, group, topics),
      await join(await open(), group, topics),
      await join(await open(), group, topics),
    ];
    const owners = (ref: string): number => trio.filter((member) => member.owned.has(ref)).length;
    const all = topics.flatMap((topic) => Array.from({ length: 7 }, (_, i) => `${topic.name}/${i}`));
    await eventually(
      'each partition has one owner, and each member some',
      () => all.every((ref) => owners(ref) === 1) && trio.every((member) => member.owned.size >= 4),
    );
    for (const member of trio) {
      const [first, second] = topics.map(({ name }) =>
        [...member.owned]
          .filter((ref) => ref.startsWith(`${name}/`))
          .map((ref) => ref.split('/')[1])
          .sort(),
      );
      expect(first).toEqual(second);
    }
  });

  it('loses nothing while members join and leave under load', async () => {
    const topic = newTopic(6);
    const log = await open();
    await log.admin.ensureTopics([topic], 'single');
    const group = newGroup();
    const tuning = { commitsItself: true };
    const acknowledged: string[] = [];
    let producing = true;
    const load = Promise.all(
      Array.from({ length: 8 }, async (_, worker) => {
        for (let n = 0; producing; n++) {
          const text = `${worker}-${n}`;
          await log.producer.append([textRecord(topic, `key-${worker}-${n % 10}`, text)]);
          acknowledged.push(text);
          await new Promise((resolve) => setImmediate(resolve));
        }
      }),
    );
    const first = await join(log, group, [topic], tuning);
    const flows = async (): Promise<void> => {
      const before = acknowledged.length;
      await eventually('records flow', () => acknowledged.length > before + 200);
    };
    const shared = (...some: Member[]) =>
      some.every((member) => member.owned.size > 0 && member.owned.size < 6);
    const second = await join(await open(), group, [topic], tuning);
    await eventually('two members share', () => shared(first, second));
    await flows();
    const third = await join(await open(), group, [topic], tuning);
    await eventually('three members share', () => shared(first, second, third));
    await flows();
    await second.consumer.stop();
    await eventually('two are left', () => first.owned.size + third.owned.size === 6);
    await flows();
    await first.consumer.stop();
    await eventually('one is left', () => third.owned.size === 6);
    await flows();
    producing = false;
    await load;
    const taken = (): string[] => [first, second, third].flatMap((member) => member.texts());
    await eventually(
      'every acknowledged record is taken',
      () => new Set(taken()).size >= acknowledged.length,
    );
    const seen = new Set(taken());
    expect(acknowledged.filter((text) => !seen.has(text))).toEqual([]);
    console.info(
      `${acknowledged.length} records, ${taken().length - new Set(taken()).size} duplicates by hand-overs`,
    );
  });

  it('gives a member that left nothing more, and its partitions to the others with what it committed', async () => {
    const topic = newTopic(2);
    const log = await open();
    await log.admin.ensureTopics([topic], 'single');
    const group = newGroup();
    const [key0 = '', key1 = ''] = keysByPartition(2, partitionOf);
    const leaver = await join(log, group, [topic]);
    await log.producer.append([textRecord(topic, key0, 'a'), textRecord(topic, key1, 'b')]);
    await eventually('both are taken', () => leaver.taken.length === 2);
    await leaver.commitTaken();
    await leaver.consumer.stop();
    expect(leaver.owned.size).toBe(0);
    const successor = await join(await open(), group, [topic]);
    await log.producer.append([textRecord(topic, key0, 'c'), textRecord(topic, key1, 'd')]);
    await eventually('the new ones are taken', () => successor.taken.length === 2);
    expect(successor.texts().sort()).toEqual(['c', 'd']);
    expect(leaver.texts().sort()).toEqual(['a', 'b']);
  });

  it('refuses the commit of a partition that went to another', async () => {
    const topic = newTopic(2);
    const log = await open();
    await log.admin.ensureTopics([topic], 'single');
    const group = newGroup();
    const loser = await join(log, group, [topic]);
    await eventually('the first owns both', () => loser.owned.size === 2);
    const winner = await join(await open(), group, [topic]);
    await eventually('they share', () => winner.owned.size === 1 && loser.owned.size === 1);
    const partition = Number([...winner.owned][0]?.split('/')[1]);
    const commit = [{ topic: topic.name, partition, next: 5, metadata: '' }];
    await expect(loser.consumer.commit(commit)).rejects.toMatchObject({
      code: 'ownership_lost',
      retryable: true,
    });
    await winner.consumer.commit(commit);
  });

  it('reads every record once in each group, and keeps their commits apart', async () => {
    const topic = newTopic(1);
    const log = await open();
    await log.admin.ensureTopics([topic], 'single');
    const groups = [newGroup(), newGroup()];
    const one = await join(log, groups[0] ?? '', [topic]);
    const other = await join(log, groups[1] ?? '', [topic]);
    await log.producer.append([textRecord(topic, 'k', 'both')]);
    await eventually('both groups read it', () => one.taken.length === 1 && other.taken.length === 1);
    await one.commitTaken();
    const lags = await Promise.all(groups.map((group) => log.admin.lag(group, [topic])));
    expect(lags.map(([partition]) => partition?.lag)).toEqual([0, 1]);
  });
}
