import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, newGroup, newTopic, textRecord, type TextTopic } from '../conformance/harness.js';
import { MemoryBroker } from '../memory/memory-broker.js';
import { MemoryEventLog } from '../memory/memory-event-log.js';
import { partitionKey } from '../partition-key.js';
import type { EventLog, PartitionRef, Position } from '../port.js';
import { runProjection, type RunningProjection } from './projection.js';
import type { ProjectionBatch, ProjectionStore } from './projection-store.js';

/** A database in memory: rows and positions change together or not at all. */
class MemoryStore implements ProjectionStore {
  readonly rows: string[] = [];
  readonly positions = new Map<string, number>();
  conflicts = 0;
  failures = 0;
  transactions = 0;
  /** While set, transactions wait for it. */
  gate: Promise<void> | undefined;
  waiting = 0;

  async loadPositions(partitions: PartitionRef[]): Promise<Position[]> {
    if (this.failures-- > 0) throw new Error('the store is away');
    return partitions
      .map((ref) => ({
        topic: ref.topic,
        partition: ref.partition,
        offset: this.positions.get(partitionKey(ref)) ?? -1,
      }))
      .filter((position) => position.offset >= 0);
  }

  async apply(batches: ProjectionBatch[]): Promise<'applied' | 'conflict'> {
    this.waiting++;
    await this.gate;
    this.waiting--;
    if (this.failures-- > 0) throw new Error('the store is away');
    if (batches.some((batch) => (this.positions.get(partitionKey(batch)) ?? 0) !== batch.from)) {
      this.conflicts++;
      return 'conflict';
    }
    this.transactions++;
    for (const batch of batches) {
      this.positions.set(partitionKey(batch), batch.next);
      this.rows.push(...batch.records.map((record) => `${record.key}:${record.value.toString()}`));
    }
    return 'applied';
  }
}

describe('a projection', () => {
  const running: RunningProjection[] = [];
  afterEach(() => Promise.all(running.splice(0).map((projection) => projection.stop())));

  const setUp = async (partitions = 2) => {
    const broker = new MemoryBroker();
    const log = new MemoryEventLog({ broker });
    const topic = newTopic(partitions);
    await log.admin.ensureTopics([topic], 'single');
    return { broker, log, topic, store: new MemoryStore(), group: newGroup(), errors: [] as unknown[] };
  };
  const run = async (parts: {
    log: EventLog;
    topic: TextTopic;
    store: MemoryStore;
    group: string;
    errors: unknown[];
    gatherMs?: number;
    othersFirst?: () => boolean;
  }) => {
    const projection = await runProjection({
      log: parts.log,
      group: parts.group,
      topics: [parts.topic],
      store: parts.store,
      gatherMs: parts.gatherMs ?? 0,
      othersFirst: parts.othersFirst ?? (() => false),
      onRetry: (error) => void parts.errors.push(error),
      onFatal: (error) => void parts.errors.push(error),
    });
    running.push(projection);
    return projection;
  };
  const append = (log: EventLog, topic: TextTopic, from: number, to: number): Promise<Position[]> =>
    log.producer.append(
      Array.from({ length: to - from }, (_, i) => textRecord(topic, `k${(from + i) % 5}`, `${from + i}`)),
    );
  const expectOnceInOrder = (rows: string[], count: number): void => {
    for (let k = 0; k < 5; k++) {
      const seen = rows.filter((row) => row.startsWith(`k${k}:`)).map((row) => Number(row.slice(3)));
      expect(seen).toEqual(Array.from({ length: count }, (_, n) => n).filter((n) => n % 5 === k));
    }
  };

  it('applies every record once and in order, and goes on from the position of its store', async () => {
    const parts = await setUp();
    const first = await run(parts);
    await first.whenApplied(await append(parts.log, parts.topic, 0, 100));
    await first.stop();
    const appended = await append(parts.log, parts.topic, 100, 150);
    // Another group name: no commit to go by, only the store.
    const second = await run({ ...parts, group: newGroup() });
    await second.whenApplied(appended);
    expectOnceInOrder(parts.store.rows, 150);
    expect(parts.store.conflicts).toBe(0);
  });

  it('skips records it is given again', async () => {
    const parts = await setUp(1);
    const projection = await run(parts);
    await projection.whenApplied(await append(parts.log, parts.topic, 0, 10));
    parts.broker.duplicateFetches(2);
    await projection.whenApplied(await append(parts.log, parts.topic, 10, 20));
    await projection.whenApplied(await append(parts.log, parts.topic, 20, 30));
    expectOnceInOrder(parts.store.rows, 30);
    expect(parts.store.conflicts).toBe(0);
  });

  it('steps over gaps: what was deleted or compacted away is not waited for', async () => {
    const parts = await setUp(1);
    await append(parts.log, parts.topic, 0, 10);
    parts.broker.deleteBefore({ topic: parts.topic.name, partition: 0, offset: 4 });
    const projection = await run(parts);
    await projection.whenApplied(await append(parts.log, parts.topic, 10, 12));
    expect(parts.store.rows.map((row) => Number(row.slice(3)))).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
    expect([...parts.store.positions.values()]).toEqual([12]);
  });

  it('loads its positions again after a conflict, and repeats nothing another writer has written', async () => {
    const parts = await setUp(1);
    const projection = await run(parts);
    await projection.whenApplied(await append(parts.log, parts.topic, 0, 10));
    // Another process, not known to be the owner, has applied the next five.
    for (let n = 10; n < 15; n++) parts.store.rows.push(`k${n % 5}:${n}`);
    parts.store.positions.set(`${parts.topic.name}/0`, 15);
    await projection.whenApplied(await append(parts.log, parts.topic, 10, 20));
    expect(parts.store.conflicts).toBeGreaterThan(0);
    expectOnceInOrder(parts.store.rows, 20);
  });

  describe('while others come first', () => {
    /** One transaction that takes a while, with more to do behind it. Answers the end of what is behind it. */
    const busy = async (othersFirst: () => boolean) => {
      const parts = await setUp(1);
      let open = (): void => undefined;
      parts.store.gate = new Promise((resolve) => (open = resolve));
      const projection = await run({ ...parts, othersFirst: () => othersFirst() });
      await append(parts.log, parts.topic, 0, 10);
      await eventually('a transaction runs', () => parts.store.waiting === 1);
      const [last] = (await append(parts.log, parts.topic, 10, 20)).slice(-1);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return { ...parts, projection, open, last: last as Position };
    };

    it('rests after a transaction, and goes on when they are done', async () => {
      const asked: number[] = [];
      let first = true;
      const { store, open } = await busy(() => {
        asked.push(store.transactions);
        return first;
      });
      open();
      await eventually('it is asked whether others come first', () => asked.length > 0);
      expect(asked[0]).toBe(1);
      first = false;
      await eventually('all is applied', () => store.rows.length === 20);
      expectOnceInOrder(store.rows, 20);
    });

    it('rests not for ever', async () => {
      const { store, open } = await busy(() => true);
      open();
      await eventually('all is applied', () => store.rows.length === 20);
    });

    it('does not rest while somebody waits', async () => {
      const asked: number[] = [];
      const { store, open, projection, last } = await busy(() => asked.push(store.transactions) > 0);
      const applied = projection.whenApplied([last]);
      open();
      await applied;
      // After the second, nobody waits any more.
      expect(asked).not.toContain(1);
      expect(store.transactions).toBe(2);
    });
  });

  it('keeps trying while its store is away, at the start and later', async () => {
    const parts = await setUp();
    parts.store.failures = 2;
    const projection = await run(parts);
    await projection.whenApplied(await append(parts.log, parts.topic, 0, 10));
    parts.store.failures = 2;
    await projection.whenApplied(await append(parts.log, parts.topic, 10, 20));
    expectOnceInOrder(parts.store.rows, 20);
    expect(parts.errors).toHaveLength(4);
  });

  it('loses and repeats nothing when its partitions go and come back while it applies', async () => {
    const parts = await setUp(3);
    const projection = await run(parts);
    for (let round = 0; round < 5; round++) {
      let open: () => void = () => undefined;
      parts.store.gate = new Promise((resolve) => (open = resolve));
      const appended = append(parts.log, parts.topic, round * 50, round * 50 + 50);
      await eventually('a transaction is under way', () => parts.store.waiting > 0);
      const moved = parts.broker.forceRebalance(parts.group);
      parts.store.gate = undefined;
      open();
      await moved;
      await projection.whenApplied(await appended);
    }
    expectOnceInOrder(parts.store.rows, 250);
  });

  it('shares its partitions with other replicas, and each record is applied by one', async () => {
    const parts = await setUp(4);
    const replica = (): Promise<RunningProjection> =>
      run({ ...parts, log: new MemoryEventLog({ broker: parts.broker }) });
    await replica();
    let next = 0;
    for (const change of [replica, replica, () => running.shift()?.stop(), () => running.shift()?.stop()]) {
      const load = (async () => {
        for (let n = 0; n < 20; n++, next += 10) await append(parts.log, parts.topic, next, next + 10);
      })();
      await change();
      await load;
    }
    await eventually('all are applied', () => parts.store.rows.length >= next);
    expectOnceInOrder(parts.store.rows, next);
  });

  it('stops reading while its store is slow, and catches up when it is not', async () => {
    const parts = await setUp(1);
    let open: () => void = () => undefined;
    parts.store.gate = new Promise((resolve) => (open = resolve));
    let handedOn = 0;
    const consumer = parts.log.consumer.bind(parts.log);
    parts.log.consumer = (options) => {
      const inner = consumer(options);
      const start = inner.run.bind(inner);
      inner.run = (handlers) =>
        start({
          ...handlers,
          onRecords: (batch) => {
            handedOn += batch.records.length;
            handlers.onRecords(batch);
          },
        });
      return inner;
    };
    const projection = await run(parts);
    const appended = await append(parts.log, parts.topic, 0, 12_000);
    await eventually('a transaction is under way', () => parts.store.waiting > 0);
    const other = await parts.log.reader.follow(parts.topic, () => undefined);
    // Another reader has read all of it: this one could have, too.
    await other.caughtUp;
    await other.close();
    expect(handedOn).toBeLessThanOrEqual(5_000);
    parts.store.gate = undefined;
    open();
    await projection.whenApplied(appended);
    expectOnceInOrder(parts.store.rows, 12_000);
  });

  it('applies the first record at once, and what trickles in after it together, by the time or by the number', async () => {
    const parts = { ...(await setUp(3)), gatherMs: 3_600_000 };
    const projection = await run(parts);
    await projection.whenApplied(await append(parts.log, parts.topic, 0, 1));
    for (let n = 1; n < 499; n += 10) await append(parts.log, parts.topic, n, Math.min(n + 10, 499));
    await projection.whenApplied(await append(parts.log, parts.topic, 499, 600));
    expect(parts.store.transactions).toBe(2);
    expectOnceInOrder(parts.store.rows, 600);
    const waiting = projection.whenApplied(await append(parts.log, parts.topic, 600, 610));
    const stopped = projection.stop();
    await expect(waiting).rejects.toMatchObject({ code: 'log_closed' });
    await stopped;
    await (await run({ ...parts, gatherMs: 20 })).whenApplied(await append(parts.log, parts.topic, 610, 620));
    await eventually('the next one has applied the rest', () => parts.store.rows.length === 620);
    expectOnceInOrder(parts.store.rows, 620);
  });

  it('stops at once although its store is away, and says so to those who wait', async () => {
    const parts = await setUp();
    const projection = await run(parts);
    parts.store.failures = Infinity;
    const waiting = projection.whenApplied(await append(parts.log, parts.topic, 0, 10));
    await eventually('it has tried', () => parts.errors.length > 0);
    await projection.stop();
    await expect(waiting).rejects.toMatchObject({ code: 'log_closed' });
  });
});
