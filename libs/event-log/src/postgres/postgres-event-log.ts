import pg from 'pg';
import type { FetchLoop, FetchSource } from '../fetch-loop.js';
import { follow } from '../follow.js';
import {
  type ConsumerOptions,
  EventLog,
  type EventLogHooks,
  type LogAdmin,
  type LogConsumer,
  type LogProducer,
  type LogReader,
  type Position,
  type TopicLayout,
} from '../port.js';
import { AppendLane } from './append-lane.js';
import { Connection } from './connection.js';
import { GroupMembership } from './group-membership.js';
import { maintain } from './maintenance.js';
import { PostgresConsumer } from './postgres-consumer.js';
import { PostgresProducer } from './postgres-producer.js';
import { readRecords } from './read-records.js';
import { ensureSchema, ensureTopics, GROUPS_CHANNEL, listenTo, topicChannel } from './schema.js';
import { TopicCatalog } from './topic-catalog.js';

/**
 * The log on PostgreSQL: the embedded default, for one machine or a few.
 *
 * It promises what the port promises, with offsets that have no gaps but where records were deleted. A record is
 * acknowledged when its transaction is on disk; replicas are PostgreSQL's own business (synchronous_standby_names).
 * It does not promise more than some ten thousand records a second: partitions share one write-ahead log.
 *
 * Connections of a process: two for appending and one for reading, made when first needed, and one control connection
 * that listens for news and carries heartbeats, commits and the members' locks. Notifications only save waiting: what
 * they miss is found by a look each `pollMs`. A notification wakes every process that listens to anything, so one that
 * only gathers (`gatherMs`) listens to nothing and looks by the clock; of its group's news its heartbeats tell it. What
 * nobody ever listened to is not announced.
 */
export interface PostgresEventLogOptions {
  url: string;
  hooks?: EventLogHooks;
  ackTimeoutMs?: number;
  maxQueuedBytes?: number;
  leaseMs?: number;
  heartbeatMs?: number;
  stallTimeoutMs?: number;
  pollMs?: number;
  /** How often superseded and expired records are looked for; 0: never by this process. */
  maintenanceMs?: number;
}

const LANES = 2;
const CONTROL_TIMEOUT_MS = 5_000;
/** Index scans only: fresh tables have no statistics, and a sequential scan of the log is never right. */
const NO_SCANS = { enable_seqscan: 'off', plan_cache_mode: 'force_generic_plan' };

export class PostgresEventLog extends EventLog {
  readonly producer: LogProducer;
  readonly reader: LogReader;
  readonly admin: LogAdmin;
  readonly #options: PostgresEventLogOptions;
  readonly #hooks: EventLogHooks;
  readonly #control: Connection;
  readonly #reading: Connection;
  readonly #catalog: TopicCatalog;
  readonly #source: FetchSource;
  /** Loops, with the topics of whose news they are to be told at once; none where they look by the clock. */
  readonly #loops = new Map<FetchLoop, string[]>();
  readonly #channels = new Set<string>();
  readonly #groupListeners = new Map<string, Set<() => void>>();
  readonly #reconnectListeners = new Set<() => void>();
  readonly #timers: NodeJS.Timeout[] = [];
  #maintaining: Promise<unknown> | undefined;

  /** Returns at once: connections are made when first needed, and made again for as long as it takes. */
  static open(options: PostgresEventLogOptions): PostgresEventLog {
    return new PostgresEventLog(options);
  }

  private constructor(options: PostgresEventLogOptions) {
    super();
    const { url, hooks = {}, ackTimeoutMs = 10_000, maxQueuedBytes = 64_000_000 } = options;
    this.#options = options;
    this.#hooks = hooks;
    const warnDown = (error: Error): void =>
      hooks.onWarning?.('a connection to PostgreSQL was lost', { error });
    const connect = (name: string, settings: Record<string, string>): Connection =>
      new Connection({ url, name: `posthaste log ${name}`, settings, onDown: warnDown });
    this.#control = new Connection({
      url,
      name: 'posthaste log control',
      // Leases and commits: what a crash of the server takes back is only read, or handed over, once more.
      settings: { synchronous_commit: 'off' },
      onUp: (client) => this.#listen(client),
      onNotification: (channel, payload) => this.#onNotification(channel, payload),
      onDown: warnDown,
    });
    this.#reading = connect('read', NO_SCANS);
    this.#catalog = new TopicCatalog(this.#control);
    this.#source = { fetch: (wanted, limits) => readRecords(this.#reading, this.#catalog, wanted, limits) };
    const onRetry = (error: unknown): void => hooks.onWarning?.('an append is tried again', { error });
    const lanes = Array.from(
      { length: LANES },
      (_, i) => new AppendLane(connect(`append ${i}`, NO_SCANS), onRetry),
    );
    this.producer = new PostgresProducer({ lanes, catalog: this.#catalog, ackTimeoutMs, maxQueuedBytes });
    this.reader = { follow: (...args) => this.#follow(...args) };
    this.admin = {
      ensureTopics: (topics, scale) => this.#ensureTopics(topics, scale),
      endOffsets: (topic) => this.#offsets('next', [topic.name]),
      startOffsets: (topic) => this.#offsets('start', [topic.name]),
      lag: (group, topics) => this.#lag(group, topics),
    };
    this.#every(options.pollMs ?? 1_000, () => {
      for (const [loop, topics] of this.#loops) if (topics.length > 0) loop.wake();
    });
    this.#every(options.maintenanceMs ?? 60_000, () => {
      this.#maintaining ??= this.maintain()
        .catch((error: unknown) => hooks.onWarning?.('cleaning the log failed', { error }))
        .finally(() => (this.#maintaining = undefined));
    });
  }

  consumer(options: ConsumerOptions): LogConsumer {
    const { leaseMs = 10_000, heartbeatMs = 1_000, stallTimeoutMs = 60_000 } = this.#options;
    const topics = options.topics.map((topic) => topic.name);
    return new PostgresConsumer({
      ...options,
      membership: new GroupMembership(this.#control, this.#catalog, options.group, topics, leaseMs),
      source: this.#source,
      ends: () => this.#offsets('next', topics),
      subscribe: (loop, onGroupNews, onReconnected) => {
        const stopLoop = this.#wakeOnNews(loop, topics, options.gatherMs, [GROUPS_CHANNEL]);
        const listeners = this.#groupListeners.get(options.group) ?? new Set();
        this.#groupListeners.set(options.group, listeners.add(onGroupNews));
        this.#reconnectListeners.add(onReconnected);
        return () => {
          stopLoop();
          listeners.delete(onGroupNews);
          this.#reconnectListeners.delete(onReconnected);
        };
      },
      hooks: this.#hooks,
      leaseMs,
      heartbeatMs,
      stallTimeoutMs,
    });
  }

  /** Deletes what is expired or superseded now; undefined when another process is at it. */
  maintain(): Promise<number | undefined> {
    return maintain(this.#options.url);
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([...this.#loops.keys()].map((loop) => loop.close()));
    await this.producer.close(0);
    await this.#maintaining;
    await Promise.all([this.#reading.close(), this.#control.close()]);
  }

  async #listen(client: pg.Client): Promise<void> {
    if (this.#channels.size > 0) await client.query(listenTo(this.#channels));
    // What was announced while nobody listened.
    for (const loop of this.#loops.keys()) loop.wake();
    for (const onReconnected of this.#reconnectListeners) onReconnected();
  }

  #onNotification(channel: string, payload: string): void {
    if (channel === GROUPS_CHANNEL) {
      for (const onNews of this.#groupListeners.get(payload) ?? []) onNews();
      return;
    }
    for (const [loop, topics] of this.#loops) {
      for (const topic of topics) if (topicChannel(topic) === channel) loop.wake(topic);
    }
  }

  #wakeOnNews(loop: FetchLoop, topics: string[], gatherMs = 0, alsoListenTo: string[] = []): () => void {
    return gatherMs > 0 ? this.#wakeEvery(gatherMs, loop) : this.#subscribe(loop, topics, alsoListenTo);
  }

  #subscribe(loop: FetchLoop, topics: string[], alsoListenTo: string[]): () => void {
    this.#loops.set(loop, topics);
    const channels = [...topics.map(topicChannel), ...alsoListenTo].filter((c) => !this.#channels.has(c));
    if (channels.length > 0) {
      for (const channel of channels) this.#channels.add(channel);
      // Should it fail, the connection is down and listens to all of them when it is up again.
      void this.#control.query({ text: listenTo(channels) }, CONTROL_TIMEOUT_MS).then(
        () => loop.wake(),
        () => undefined,
      );
    }
    return () => this.#loops.delete(loop);
  }

  #wakeEvery(gatherMs: number, loop: FetchLoop): () => void {
    this.#loops.set(loop, []);
    const timer = setInterval(() => loop.wake(), gatherMs);
    return () => {
      clearInterval(timer);
      this.#loops.delete(loop);
    };
  }

  async #follow(
    ...[topic, onRecord, gatherMs]: Parameters<LogReader['follow']>
  ): ReturnType<LogReader['follow']> {
    return follow({
      ends: await this.#offsets('next', [topic.name]),
      source: this.#source,
      subscribe: (loop) => this.#wakeOnNews(loop, [topic.name], gatherMs),
      onRecord,
      hooks: this.#hooks,
    });
  }

  async #ensureTopics(topics: TopicLayout[], scale: 'production' | 'single'): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#options.url,
      application_name: 'posthaste log schema',
    });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await ensureSchema(client);
      await ensureTopics(client, topics, scale);
    } finally {
      await client.end();
    }
    await this.#catalog.find(topics.map((topic) => topic.name));
  }

  async #offsets(edge: 'start' | 'next', names: string[]): Promise<Position[]> {
    await this.#catalog.find(names);
    const rows = await this.#control.query<[string, number, string]>(
      {
        text: `select t.name, h.partition, h.${edge} from log.partition_head h join log.topic t on t.id = h.topic
               where t.name = any($1) order by t.name, h.partition`,
        values: [names],
      },
      CONTROL_TIMEOUT_MS,
    );
    return rows.map(([topic, partition, offset]) => ({ topic, partition, offset: Number(offset) }));
  }

  async #lag(...[group, topics]: Parameters<LogAdmin['lag']>): ReturnType<LogAdmin['lag']> {
    const rows = await this.#control.query<[string, number, string]>(
      {
        text: `select t.name, h.partition, greatest(0, h.next - greatest(h.start, coalesce(c.next, 0)))
               from log.partition_head h join log.topic t on t.id = h.topic
               left join log.committed c on c.group_name = $1 and c.topic = h.topic and c.partition = h.partition
               where t.name = any($2) order by t.name, h.partition`,
        values: [group, topics.map((topic) => topic.name)],
      },
      CONTROL_TIMEOUT_MS,
    );
    return rows.map(([topic, partition, lag]) => ({ topic, partition, lag: Number(lag) }));
  }

  #every(intervalMs: number, work: () => void): void {
    if (intervalMs <= 0) return;
    const timer = setInterval(work, intervalMs);
    timer.unref();
    this.#timers.push(timer);
  }
}
