import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LocalKafka } from '@posthaste/local-stack';
import { kafkaForTests, waitFor } from '@posthaste/test-kit';
import { Member, newGroup, newTopic, readAll, textRecord } from '../conformance/harness.js';
import { KafkaEventLog } from './kafka-event-log.js';

/**
 * Three brokers, each record on all three, two must have it; leaders die under load. This is where plain kafkajs loses
 * acknowledged records: it resolves without having sent a partition whose leader moved.
 */
const startOwn = kafkaForTests()?.startOwn;
const PARTITIONS = 6;
const KILLS = 3;
const PER_SECOND = 1_000;

(startOwn ? describe : describe.skip)('three brokers, and leaders that are killed', () => {
  let kafka: LocalKafka;
  let log: KafkaEventLog;
  const warnings = new Map<string, number>();

  beforeAll(async () => {
    kafka = (await startOwn?.({ nodes: 3, heap: '192m' })) as LocalKafka;
    log = await KafkaEventLog.open({
      brokers: kafka.bootstrap,
      clientId: 'leader-kill',
      hooks: { onWarning: (message) => warnings.set(message, (warnings.get(message) ?? 0) + 1) },
    });
  }, 300_000);

  afterAll(async () => {
    await log.close();
    await kafka.stop();
  }, 60_000);

  it('loses no acknowledged record, and a group reads them all', async () => {
    const topic = newTopic(PARTITIONS);
    await log.admin.ensureTopics([topic], 'single');
    const member = await Member.join(log, newGroup(), [topic], { commitsItself: true });
    const acknowledged = new Set<string>();
    let rejected = 0;
    let longestMs = 0;
    let isProducing = true;
    const running = new Set<Promise<void>>();
    const append = async (n: number): Promise<void> => {
      const began = performance.now();
      try {
        await log.producer.append([textRecord(topic, `key-${n % 40}`, `${n}`)]);
        acknowledged.add(`${n}`);
      } catch {
        rejected++;
      }
      longestMs = Math.max(longestMs, performance.now() - began);
    };
    const load = (async () => {
      for (let n = 0; isProducing;) {
        for (const until = n + PER_SECOND / 50; n < until; n++) {
          const one = append(n).finally(() => running.delete(one));
          running.add(one);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    const grownBy = async (records: number): Promise<void> => {
      const goal = acknowledged.size + records;
      await waitFor(() => acknowledged.size >= goal, {
        what: `${records} more acknowledged`,
        deadlineMs: 60_000,
      });
    };

    for (let kill = 0; kill < KILLS; kill++) {
      await grownBy(2 * PER_SECOND);
      const node = kafka.nodes[kill % kafka.nodes.length];
      await node?.kill('SIGKILL');
      // The others have taken over before it comes back.
      await grownBy(2 * PER_SECOND);
      await node?.start();
    }
    await grownBy(2 * PER_SECOND);
    isProducing = false;
    await load;
    await Promise.all(running);

    const stored = (await readAll(log, topic)).map((record) => record.value.toString());
    const distinct = new Set(stored);
    const figures = {
      acknowledged: acknowledged.size,
      rejected,
      twiceInTheLog: stored.length - distinct.size,
    };
    process.stdout.write(
      `${KILLS} leaders killed: ${JSON.stringify({ ...figures, longestAppendMs: Math.round(longestMs) })}\n`,
    );
    process.stdout.write(`warnings: ${JSON.stringify([...warnings])}\n`);
    expect([...acknowledged].filter((text) => !distinct.has(text))).toEqual([]);

    await waitFor(() => new Set(member.texts()).size >= distinct.size, {
      what: 'the group has read everything',
      deadlineMs: 60_000,
      everyMs: 250,
    });
    const taken = new Set(member.texts());
    expect([...acknowledged].filter((text) => !taken.has(text))).toEqual([]);
    expect(member.fatal).toEqual([]);
    await member.consumer.stop();
  }, 300_000);
});
