import { createServer, connect, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import pg from 'pg';
import { eventLogConformance } from '../conformance/event-log.conformance.js';
import {
  eventually,
  Member,
  newGroup,
  newTopic,
  readAll,
  type TestTuning,
  textRecord,
} from '../conformance/harness.js';
import { PostgresEventLog } from './postgres-event-log.js';
import { topicChannel } from './schema.js';

jest.setTimeout(60_000);

/**
 * Stands between clients and server. `cut`: appends pass, and the connection breaks at their answer. `stalled`: what
 * the reading connection is answered goes nowhere.
 */
class FaultyProxy {
  cut = false;
  #isStalled = false;
  readonly #sockets = new Set<Socket>();
  readonly #reading = new Set<Socket>();
  private constructor(
    readonly port: number,
    readonly listener: Server,
  ) {}

  static async inFrontOf(target: number): Promise<FaultyProxy> {
    const listener = createServer((client) => {
      const upstream = connect(target, '127.0.0.1');
      for (const socket of [client, upstream]) {
        proxy.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          proxy.#sockets.delete(socket);
          proxy.#reading.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
      let appends = false;
      client.on('data', (chunk: Buffer) => {
        // The startup packet names the connection.
        if (chunk.includes('posthaste log read')) proxy.#reading.add(client);
        appends ||= chunk.includes('posthaste log append');
        upstream.write(chunk);
      });
      upstream.on('data', (chunk: Buffer) => {
        const isLogin = chunk[0] === 0x52;
        if (proxy.cut && appends && !isLogin) client.destroy();
        else if (!(proxy.#isStalled && proxy.#reading.has(client))) client.write(chunk);
      });
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const address = listener.address();
    const proxy = new FaultyProxy(typeof address === 'object' ? (address?.port ?? 0) : 0, listener);
    return proxy;
  }

  stall(isStalled: boolean): void {
    this.#isStalled = isStalled;
    // What was held back is missing in the stream: begin anew.
    if (!isStalled) for (const socket of this.#reading) socket.destroy();
  }

  close(): void {
    this.listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

eventLogConformance({
  name: 'PostgreSQL',
  isSharedByProcesses: true,
  patienceMs: 1_500,
  start: async () => {
    const server = await startTemporaryPostgres('log');
    const proxy = await FaultyProxy.inFrontOf(server.port);
    const url = server.url.replace(`:${server.port}/`, `:${proxy.port}/`);
    const quick = { heartbeatMs: 200, leaseMs: 3_000, maintenanceMs: 0 };
    return {
      open: async (tuning: TestTuning = {}) => PostgresEventLog.open({ url, ...quick, ...tuning }),
      stopBroker: () => server.kill('SIGKILL'),
      startBroker: () => server.restart(),
      loseAcknowledgements: async () => {
        proxy.cut = true;
        return async () => void (proxy.cut = false);
      },
      stallFetching: async () => {
        proxy.stall(true);
        return async () => proxy.stall(false);
      },
      compact: async () => {
        const log = PostgresEventLog.open({ url: server.url, maintenanceMs: 0 });
        await log.maintain();
        await log.close();
      },
      childOptions: { kind: 'postgres', url: server.url, ...quick },
      stop: async () => {
        proxy.close();
        await server.remove();
      },
    };
  },
});

describe('the log on PostgreSQL, beyond the port', () => {
  let server: TemporaryPostgres;
  let log: PostgresEventLog;
  let client: pg.Client;

  beforeAll(async () => {
    server = await startTemporaryPostgres('log');
    log = PostgresEventLog.open({ url: server.url, maintenanceMs: 0 });
    client = new pg.Client(server.url);
    client.on('error', () => undefined);
    await client.connect();
  });
  afterAll(async () => {
    await log.close();
    await client.end();
    await server.remove();
  });

  it('keeps no gap and no repeat in offsets under many producers', async () => {
    const topic = newTopic(4);
    await log.admin.ensureTopics([topic], 'single');
    const others = Array.from({ length: 3 }, () =>
      PostgresEventLog.open({ url: server.url, maintenanceMs: 0 }),
    );
    await Promise.all(
      [log, ...others].flatMap((each) =>
        Array.from({ length: 200 }, (_, n) => each.producer.append([textRecord(topic, `k${n}`, 'x')])),
      ),
    );
    const ends = await log.admin.endOffsets(topic);
    expect(ends.reduce((sum, end) => sum + end.offset, 0)).toBe(800);
    const { rows } = await client.query(
      `select partition, count(*)::int as n, max("offset")::int as last from log.record
       where topic = (select id from log.topic where name = $1) group by partition order by partition`,
      [topic.name],
    );
    expect(rows).toEqual(ends.map(({ partition, offset }) => ({ partition, n: offset, last: offset - 1 })));
    await Promise.all(others.map((each) => each.close()));
  });

  it('opens while its records are vacuumed, appended and read', async () => {
    await log.admin.ensureTopics([newTopic(1)], 'single');
    // What a vacuum, a writer and a reader hold: opening must ask for nothing that one of them is in the way of.
    await client.query('begin; lock table log.record in share update exclusive mode');
    await client.query('lock table log.record in row exclusive mode');
    const options = '-c lock_timeout=2s';
    const second = PostgresEventLog.open({ url: `${server.url}?options=${options}`, maintenanceMs: 0 });
    try {
      const topic = newTopic(1);
      await second.admin.ensureTopics([topic], 'single');
      expect(await second.admin.endOffsets(topic)).toMatchObject([{ offset: 0 }]);
    } finally {
      await client.query('rollback');
      await second.close();
    }
  });

  it('deletes what is older than its retention, and never gives an offset again', async () => {
    const topic = newTopic(1, { policy: 'delete', retentionMs: 3_600_000 });
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append(['a', 'b', 'c'].map((text) => textRecord(topic, 'k', text)));
    const age = `update log.record set appended_at = appended_at - 2 * 3600000
                 where topic = (select id from log.topic where name = $1) and "offset" < $2`;
    await client.query(age, [topic.name, 2]);
    await log.maintain();
    expect((await readAll(log, topic)).map((record) => record.value.toString())).toEqual(['c']);
    expect(await log.admin.startOffsets(topic)).toMatchObject([{ offset: 2 }]);
    await client.query(age, [topic.name, 3]);
    await log.maintain();
    expect(await log.admin.startOffsets(topic)).toMatchObject([{ offset: 3 }]);
    expect(await log.admin.lag(newGroup(), [topic])).toMatchObject([{ lag: 0 }]);
    expect(await log.producer.append([textRecord(topic, 'k', 'd')])).toMatchObject([{ offset: 3 }]);
    expect((await readAll(log, topic)).map((record) => record.offset)).toEqual([3]);
  });

  it('keeps a tombstone for a week, and a follower is caught up over the gap at the end', async () => {
    const topic = newTopic(1, { policy: 'compact' });
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append([
      textRecord(topic, 'a', 'kept'),
      textRecord(topic, 'b', 'old'),
      textRecord(topic, 'b', ''),
    ]);
    await log.maintain();
    expect((await readAll(log, topic)).map((record) => record.offset)).toEqual([0, 2]);
    await client.query(
      `update log.record set appended_at = appended_at - 8 * 86400000
                        where topic = (select id from log.topic where name = $1)`,
      [topic.name],
    );
    await log.maintain();
    expect((await readAll(log, topic)).map((record) => record.offset)).toEqual([0]);
    expect(await log.admin.endOffsets(topic)).toMatchObject([{ offset: 3 }]);
  });

  describe('cleaning', () => {
    beforeAll(async () => {
      await log.admin.ensureTopics([newTopic(1)], 'single');
      await client.query('alter table log.record set (autovacuum_enabled = off)');
    });
    afterAll(() => client.query('alter table log.record reset (autovacuum_enabled)'));

    const analyze = (): Promise<unknown> => client.query('analyze log.record');
    const forgetStatistics = (): Promise<unknown> =>
      client.query(`delete from pg_statistic where starelid = 'log.record'::regclass`);
    const fill = (topic: string): Promise<unknown> =>
      client.query(
        `insert into log.record (topic, partition, "offset", appended_at, key, value)
         select id, 0, n, extract(epoch from clock_timestamp()) * 1000, 'k', repeat('x', 50)::bytea
         from log.topic, generate_series(0, 199999) n where name = $1`,
        [topic],
      );

    /** Of 8 KB, from wherever. What a session read is known once it is over. */
    const blocksReadIn = async (work: () => Promise<unknown>): Promise<number> => {
      const blocks = async (): Promise<number> => {
        const { rows } = await client.query<{ blocks: number }>(
          `select pg_stat_get_blocks_fetched('log.record'::regclass)::int as blocks`,
        );
        return rows[0]?.blocks ?? NaN;
      };
      // What this session read before is told a second late by itself: in the midst of the work, on a slow machine.
      await client.query('select pg_stat_force_next_flush()');
      const before = await blocks();
      await work();
      const session = `select from pg_stat_activity where application_name = 'posthaste log maintenance'`;
      while ((await client.query(session)).rowCount !== 0);
      return (await blocks()) - before;
    };

    it.each([
      ['without statistics', [forgetStatistics, fill]],
      ['with the statistics of before', [analyze, fill]],
      ['with statistics', [fill, analyze]],
    ])('reads what has expired and not the log, %s', async (_, steps) => {
      const topic = newTopic(1, { policy: 'delete', retentionMs: 3_600_000 });
      await log.admin.ensureTopics([topic], 'single');
      for (const step of steps) await step(topic.name);
      expect(await blocksReadIn(() => log.maintain())).toBeLessThan(500);
      await client.query(
        `update log.record set appended_at = 0
         where topic = (select id from log.topic where name = $1) and "offset" < 100`,
        [topic.name],
      );
      expect(await blocksReadIn(() => log.maintain())).toBeLessThan(1_000);
      expect(await log.admin.startOffsets(topic)).toMatchObject([{ offset: 100 }]);
    });
  });

  it('forgets a group that nobody is in and that has committed nothing, also when its member was killed', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    const [used, passing, killed] = [newGroup(), newGroup(), newGroup()];
    const members = await Promise.all(
      [used, passing, killed].map((group) => Member.join(log, group, [topic])),
    );
    await members[1]?.consumer.stop();
    await members[2]?.consumer.stop();
    await client.query(`insert into log.group_member values (2000000000, $1, now() - interval '1 day')`, [
      killed,
    ]);
    await log.maintain();
    const { rows } = await client.query(
      `select g.name, (select count(*)::int from log.partition_lease l where l.group_name = g.name) as leases
       from log.consumer_group g where g.name = any($1)`,
      [[used, passing, killed]],
    );
    expect(rows).toEqual([{ name: used, leases: 2 }]);
    const { rows: left } = await client.query('select from log.partition_lease where group_name = any($1)', [
      [passing, killed],
    ]);
    expect(left).toEqual([]);
    await members[0]?.consumer.stop();
  });

  it('lets a record the database cannot store fail alone', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    // All in one batch: made in one turn of the event loop.
    const outcomes = await Promise.allSettled(
      ['a', 'nul \0 byte', 'b'].map((key) => log.producer.append([textRecord(topic, key, key)])),
    );
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((await readAll(log, topic)).map((record) => record.key)).toEqual(['a', 'b']);
  });

  it('takes what several topics get in one turn of the event loop in one transaction', async () => {
    const topics = [newTopic(1), newTopic(1), newTopic(1)];
    await log.admin.ensureTopics(topics, 'single');
    const appends = topics.flatMap((topic) =>
      ['a', 'b'].map((text) => log.producer.append([textRecord(topic, 'k', text)])),
    );
    expect((await Promise.all(appends)).flat().map(({ offset }) => offset)).toEqual([0, 1, 0, 1, 0, 1]);
    const { rows } = await client.query(
      `select count(distinct xmin::text)::int as transactions, count(*)::int as records from log.record
       where topic in (select id from log.topic where name = any($1))`,
      [topics.map(({ name }) => name)],
    );
    expect(rows).toEqual([{ transactions: 1, records: 6 }]);
  });

  it('wakes followers and members of other processes although nobody polls', async () => {
    const topic = newTopic(2);
    await log.admin.ensureTopics([topic], 'single');
    const quiet = PostgresEventLog.open({ url: server.url, maintenanceMs: 0, pollMs: 0 });
    const followed: string[] = [];
    const following = await quiet.reader.follow(topic, (record) => followed.push(record.value.toString()));
    const member = await Member.join(quiet, newGroup(), [topic]);
    await following.caughtUp;
    // One after the other is seen before the next is written: no later one can be what woke them.
    for (const text of ['a', 'b', 'c']) {
      await log.producer.append([textRecord(topic, text, text)]);
      await eventually(`${text} is seen`, () => followed.at(-1) === text && member.texts().includes(text));
    }
    await following.close();
    await member.consumer.stop();
    await quiet.close();
  });

  it('leaves nothing running of a consumer that is stopped while it joins', async () => {
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    const handlers = {
      onAssigned: () => [],
      onRevoked: () => undefined,
      onRecords: () => undefined,
      onFatal: () => undefined,
    };
    const timers = (): number => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
    const before = timers();
    // The later ones have joined by then.
    for (let turns = 0; turns < 40; turns++) {
      const consumer = log.consumer({ group: newGroup(), topics: [topic] });
      const running = consumer.run(handlers);
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      await consumer.stop();
      await running;
    }
    await eventually('no timer is left', () => timers() <= before);
  });

  it('does not read for a consumer when another topic got a record', async () => {
    const [ours, theirs] = [newTopic(1), newTopic(1)];
    // No safety look: only a notification can cause a read.
    const quiet = PostgresEventLog.open({ url: server.url, maintenanceMs: 0, pollMs: 0 });
    await quiet.admin.ensureTopics([ours, theirs], 'single');
    const member = await Member.join(quiet, newGroup(), [ours]);
    await client.query('update log.topic set announced = true where name = $1', [theirs.name]);
    await quiet.producer.append([textRecord(ours, 'k', 'first')]);
    await eventually('the first record arrives', () => member.taken.length === 1);
    const backend = `select pid, state_change::text as changed from pg_stat_activity
                     where application_name = 'posthaste log read' order by pid`;
    const before = (await client.query(backend)).rows;
    for (let n = 0; n < 20; n++) await quiet.producer.append([textRecord(theirs, 'k', `${n}`)]);
    // A notification on the same connection behind all of those: the quiet log has heard them too.
    expect((await client.query(backend)).rows).toEqual(before);
    await quiet.producer.append([textRecord(ours, 'k', 'second')]);
    await eventually('the second record arrives', () => member.taken.length === 2);
    expect((await client.query(backend)).rows).not.toEqual(before);
    await member.consumer.stop();
    await quiet.close();
  });

  it('announces a topic once somebody wants to be told of it, and wakes nobody before', async () => {
    const [gathered, told] = [newTopic(1), newTopic(1)];
    await log.admin.ensureTopics([gathered, told], 'single');
    const heard: string[] = [];
    const listener = new pg.Client({ connectionString: server.url });
    await listener.connect();
    listener.on('notification', ({ channel }) => heard.push(channel));
    for (const { name } of [gathered, told]) await listener.query(`listen "${topicChannel(name)}"`);
    const gathering = await Member.join(log, newGroup(), [gathered, told], { gatherMs: 50 });
    const following = await log.reader.follow(gathered, () => undefined, 50);
    await log.producer.append([textRecord(gathered, 'k', '1'), textRecord(told, 'k', '1')]);
    await eventually('what was appended is gathered', () => gathering.taken.length === 2);

    const live = await Member.join(log, newGroup(), [told]);
    // Asking to be told is not waited for by whoever asks.
    const asked = 'select from log.topic where announced and name = $1';
    while ((await listener.query(asked, [told.name])).rowCount === 0);
    await log.producer.append([textRecord(gathered, 'k', '2'), textRecord(told, 'k', '2')]);
    await eventually('what is live arrives', () => live.taken.length === 2);
    await eventually('it was announced', () => heard.length > 0);
    // Behind anything else that could have been announced.
    await listener.query('select');
    expect(heard).toEqual([topicChannel(told.name)]);
    await Promise.all([gathering.consumer.stop(), live.consumer.stop(), following.close(), listener.end()]);
  });
});
