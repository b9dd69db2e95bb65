import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LocalKafka } from '@posthaste/local-stack';
import { keysByPartition, newTopic } from '../conformance/harness.js';
import { kafkaForTests, waitFor } from '@posthaste/test-kit';
import type { Producer, ProducerBatch, RecordMetadata } from 'kafkajs';
import { partitionOf } from '../partitioner.js';
import type { Position, StoredRecord } from '../port.js';
import { CuttingProxy } from './cutting-proxy.conformance.js';
import { createKafkaClient, defaultTuning, type KafkaTuning } from './kafka-client.js';
import { createKafkaProducer, KafkaEventLog } from './kafka-event-log.js';
import { type BatchSender, KafkaProducer } from './kafka-producer.js';

const kafka = kafkaForTests();
const PARTITIONS = 6;
const HURRIED = { ackTimeoutMs: 500, callTimeoutMs: 400 };

(kafka?.startOwn ? describe : describe.skip)('the Kafka producer, when responses are lost', () => {
  let broker: LocalKafka;
  let proxy: CuttingProxy;
  let log: KafkaEventLog;
  let client: Producer;

  beforeAll(async () => {
    const through = await CuttingProxy.beforeOwnBroker();
    ({ proxy, kafka: broker } = through);
    const connection = { brokers: through.brokers, clientId: 'spec' };
    log = await KafkaEventLog.open(connection);
    client = createKafkaProducer(createKafkaClient({ ...connection, hooks: {} }));
    await client.connect();
  }, 120_000);

  afterAll(async () => {
    await Promise.all([log.close(), client.disconnect()]);
    await broker.stop();
    proxy.close();
  }, 30_000);

  const producerOver = (
    sender: BatchSender,
    warnings: string[] = [],
    tuning: Partial<KafkaTuning> = {},
  ): KafkaProducer =>
    new KafkaProducer({
      sender,
      partitionCount: async () => PARTITIONS,
      tuning: { ...defaultTuning, ...tuning },
      hooks: { onWarning: (message) => warnings.push(message) },
    });

  async function readAll(topic: { name: string }): Promise<(StoredRecord & { partition: number })[]> {
    const records: (StoredRecord & { partition: number })[] = [];
    const reading = await log.reader.follow(topic, (record, partition) =>
      records.push({ ...record, partition }),
    );
    await reading.caughtUp;
    await reading.close();
    return records;
  }

  it('sends a partition again that the response left out, and only that one', async () => {
    const topic = newTopic(PARTITIONS);
    await log.admin.ensureTopics([topic], 'single');
    const keys = Array.from({ length: 60 }, (_, i) => `key-${i}`);
    const forgotten = partitionOf('key-0', PARTITIONS);
    const asked: number[][] = [];
    // What kafkajs does when the partition's leader moves to a broker that has answered already: it resolves.
    const forgetful: BatchSender = {
      sendBatch: (batch) => {
        const isFirst = asked.push(partitionsOf(batch).sort()) === 1;
        return client.sendBatch(isFirst ? without(batch, forgotten) : batch);
      },
    };
    const warnings: string[] = [];
    const producer = producerOver(forgetful, warnings);
    const positions = await producer.append(keys.map((key) => ({ topic, key, value: Buffer.from(key) })));

    expect(asked).toEqual([[0, 1, 2, 3, 4, 5], [forgotten]]);
    expect(warnings).toEqual(['a response left partitions out; sending them again']);
    const records = await readAll(topic);
    expect(new Set(records.map((record) => record.key))).toEqual(new Set(keys));
    for (const [i, position] of positions.entries()) {
      const stored = records.find((r) => r.partition === position.partition && r.offset === position.offset);
      expect(stored?.key).toBe(keys[i]);
    }
  });

  it('does not take a partition with an error code for stored', async () => {
    const topic = newTopic(PARTITIONS);
    await log.admin.ensureTopics([topic], 'single');
    let calls = 0;
    const failing: BatchSender = {
      sendBatch: async (batch): Promise<RecordMetadata[]> => {
        if (calls++ > 0) return client.sendBatch(batch);
        const partition = partitionOf('a', PARTITIONS);
        return [{ topicName: topic.name, partition, errorCode: 19, baseOffset: '0' }];
      },
    };
    await producerOver(failing).append([{ topic, key: 'a', value: Buffer.from('1') }]);
    expect(calls).toBe(2);
    expect((await readAll(topic)).length).toBeGreaterThan(0);
  });

  it('neither holds up nor repeats the other partitions while one is refused, and drops it when nobody waits', async () => {
    const topic = newTopic(PARTITIONS);
    await log.admin.ensureTopics([topic], 'single');
    const keys = keysByPartition(PARTITIONS, partitionOf);
    const sent = new Map<number, number>();
    const refusing: BatchSender = {
      sendBatch: async (batch) => {
        for (const p of partitionsOf(batch)) sent.set(p, (sent.get(p) ?? 0) + 1);
        if (partitionsOf(batch).includes(0)) throw new Error('partition 0 has no leader');
        return client.sendBatch(batch);
      },
    };
    const producer = producerOver(refusing, [], { ackTimeoutMs: 1_500 });
    const append = (key: string): Promise<Position[]> =>
      producer.append([{ topic, key, value: Buffer.from(key) }]);
    const refused = expect(append(keys[0] ?? '')).rejects.toMatchObject({ code: 'log_unavailable' });
    // In one batch with the refused one, and then while that is tried again.
    await Promise.all(keys.slice(1).map(append));
    await Promise.all(keys.slice(1).map(append));
    expect([1, 2, 3, 4, 5].map((p) => sent.get(p))).toEqual([3, 3, 3, 3, 3]);
    await refused;
    const tries = sent.get(0);
    expect(tries).toBeGreaterThan(2);
    await append(keys[1] ?? '');
    expect(sent.get(0)).toBe(tries);
  }, 60_000);

  it('sends a record at once when nothing is under way, and gathers the next until it is answered', async () => {
    const sizes: number[] = [];
    const gate = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const gated: BatchSender = {
      sendBatch: async (batch) => {
        const messages = batch.topicMessages?.flatMap((each) => each.messages) ?? [];
        await gate[sizes.push(messages.length) - 1]?.promise;
        return partitionsOf(batch).map((partition) => ({
          topicName: 'gathered',
          partition,
          errorCode: 0,
          baseOffset: '0',
        }));
      },
    };
    const producer = producerOver(gated, [], { lingerMs: 60_000 });
    const append = (n: number): Promise<Position[]> =>
      producer.append([{ topic: { name: 'gathered' }, key: `key-${n}`, value: Buffer.from('x') }]);
    const first = append(0);
    await waitFor(() => sizes.length === 1, { what: 'the first request' });
    const next = [1, 2, 3, 4, 5].map(append);
    gate[0]?.resolve();
    await first;
    await waitFor(() => sizes.length === 2, { what: 'the second request' });
    gate[1]?.resolve();
    await Promise.all(next);
    expect(sizes).toEqual([1, 5]);
  });

  it('keeps the order of a key while its batch is sent again, and never has two of a partition in flight', async () => {
    const topic = newTopic(PARTITIONS);
    await log.admin.ensureTopics([topic], 'single');
    const inFlight = new Set<number>();
    let overlaps = 0;
    let most = 0;
    let running = 0;
    let calls = 0;
    const lossy: BatchSender = {
      sendBatch: async (batch) => {
        const partitions = partitionsOf(batch);
        overlaps += partitions.filter((p) => inFlight.has(p)).length;
        partitions.forEach((p) => inFlight.add(p));
        most = Math.max(most, ++running);
        try {
          const response = await client.sendBatch(batch);
          // Every third answer is lost: the records are in the log, and will be there twice.
          if (++calls % 3 === 0) throw new Error('answer lost');
          return response;
        } finally {
          running--;
          partitions.forEach((p) => inFlight.delete(p));
        }
      },
    };
    const producer = producerOver(lossy);
    const appends: Promise<Position[]>[] = [];
    for (let n = 0; n < 400; n++) {
      const key = `key-${n % 8}`;
      appends.push(producer.append([{ topic, key, value: Buffer.from(String(n)) }]));
      // Spread over many turns of the event loop, so that batches overlap.
      if (n % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(appends);

    expect(overlaps).toBe(0);
    expect(most).toBeGreaterThan(1);
    const records = await readAll(topic);
    expect(records.length).toBeGreaterThan(400);
    for (let k = 0; k < 8; k++) {
      const seen = [...new Set(records.filter((r) => r.key === `key-${k}`).map((r) => Number(r.value)))];
      expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => i * 8 + k));
    }
  });

  it('loses nothing acknowledged when connections are cut before the answer', async () => {
    const topic = newTopic(PARTITIONS);
    await log.admin.ensureTopics([topic], 'single');
    const acknowledged: string[] = [];
    let cuts = 0;
    for (let round = 0; round < 8; round++) {
      proxy.cutAnswers(1);
      const appends = Array.from({ length: 20 }, async (_, i) => {
        const id = `${round}-${i}`;
        await log.producer.append([{ topic, key: `key-${i % 4}`, value: Buffer.from(id) }]);
        acknowledged.push(id);
      });
      await Promise.all(appends);
      cuts = proxy.cuts;
    }
    expect(cuts).toBe(8);
    expect(acknowledged).toHaveLength(160);
    const read = (await readAll(topic)).map((record) => record.value.toString());
    expect(new Set(read)).toEqual(new Set(acknowledged));
    process.stdout.write(
      `cut answers: ${cuts}, records in the log twice: ${read.length - acknowledged.length}\n`,
    );
  }, 60_000);

  it('rejects with log_unavailable at its deadline while no broker answers, and works again afterwards', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const hurried = await KafkaEventLog.open({
      brokers: broker.bootstrap,
      clientId: 'hurried',
      tuning: HURRIED,
    });
    const append = (text: string): Promise<Position[]> =>
      hurried.producer.append([{ topic, key: 'a', value: Buffer.from(text) }]);
    await append('before');
    proxy.refuse(true);
    await expect(append('lost')).rejects.toMatchObject({ code: 'log_unavailable' });
    proxy.refuse(false);
    await waitFor(() => append('after'), { what: 'an append', deadlineMs: 30_000 });
    await hurried.close();
    const read = (await readAll(topic)).map((record) => record.value.toString());
    expect(read[0]).toBe('before');
    expect(read).toContain('after');
  }, 60_000);

  it('refuses what does not fit into its memory, and takes more once there is room', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const gate = Promise.withResolvers<void>();
    const slow: BatchSender = {
      sendBatch: async (batch) => {
        await gate.promise;
        return client.sendBatch(batch);
      },
    };
    const tuning = { ...defaultTuning, maxQueuedBytes: 10_000 };
    const producer = new KafkaProducer({ sender: slow, partitionCount: async () => 1, tuning, hooks: {} });
    const record = { topic, key: 'a', value: Buffer.alloc(4_000) };
    const first = [producer.append([record]), producer.append([record])];
    await expect(producer.append([record])).rejects.toMatchObject({ code: 'log_queue_full' });
    gate.resolve();
    await Promise.all(first);
    const [last] = await producer.append([record]);
    expect((await readAll(topic)).map(({ offset }) => offset)).toContain(last?.offset);
  });
});

const partitionsOf = (batch: ProducerBatch): number[] => [
  ...new Set(
    batch.topicMessages?.flatMap(({ messages }) => messages.map((m) => m.partition as number)) ?? [],
  ),
];

const without = (batch: ProducerBatch, partition: number): ProducerBatch => ({
  ...batch,
  topicMessages: (batch.topicMessages ?? []).map(({ topic, messages }) => ({
    topic,
    messages: messages.filter((message) => message.partition !== partition),
  })),
});
