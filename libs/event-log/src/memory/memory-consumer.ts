import { EventLogError } from '../errors.js';
import { FetchLoop, type FetchSource } from '../fetch-loop.js';
import { partitionKey } from '../partition-key.js';
import type {
  AssignedPartition,
  Commit,
  ConsumerHandlers,
  ConsumerOptions,
  EventLogHooks,
  LogConsumer,
  PartitionRef,
  Position,
} from '../port.js';
import { withinRevocationTime } from '../revocation.js';
import { watchForStalls } from '../stall-watchdog.js';
import type { MemoryBroker, MemoryMember } from './memory-broker.js';

/** Answers in a later turn of the event loop, as a network would. */
export const memorySource = (broker: MemoryBroker): FetchSource => ({
  fetch: async (wanted, limits) => {
    await broker.answering();
    await new Promise((resolve) => setImmediate(resolve));
    return broker.fetch(wanted, limits);
  },
});

/** A group's member on the memory log; the broker says what it owns. */
export class MemoryConsumer implements LogConsumer {
  readonly #broker: MemoryBroker;
  readonly #options: ConsumerOptions;
  readonly #hooks: EventLogHooks;
  readonly #stallTimeoutMs: number;
  readonly #held = new Set<number>();
  #member: MemoryMember | undefined;
  #loop: FetchLoop | undefined;
  #handlers: ConsumerHandlers | undefined;
  #release: () => void = () => undefined;

  constructor(broker: MemoryBroker, options: ConsumerOptions, hooks: EventLogHooks, stallTimeoutMs: number) {
    this.#broker = broker;
    this.#options = options;
    this.#hooks = hooks;
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  async run(handlers: ConsumerHandlers): Promise<void> {
    await this.#broker.answering();
    const topics = this.#options.topics.map((topic) => topic.name);
    const loop = new FetchLoop({
      source: memorySource(this.#broker),
      onRecords: (batch) => handlers.onRecords(batch),
      onRetry: (error) => this.#hooks.onWarning?.('a fetch failed', { error }),
      onFatal: (error) => handlers.onFatal(error),
      ...(this.#options.maxBatchRecords === undefined
        ? {}
        : { recordsPerPartition: this.#options.maxBatchRecords }),
    });
    const unsubscribe = this.#broker.subscribe((topic) => loop.wake(topic));
    const watchdog = watchForStalls({
      stallTimeoutMs: this.#stallTimeoutMs,
      positions: () => loop.activePositions(),
      ends: async () => topics.flatMap((topic) => this.#broker.positions(topic, 'next')),
      onStall: (error) => handlers.onFatal(error),
    });
    this.#release = () => {
      unsubscribe();
      watchdog.stop();
    };
    this.#loop = loop;
    this.#handlers = handlers;
    this.#member = {
      topics,
      assign: (indexes) => this.#assign(indexes),
      revoke: (indexes) => this.#revoke(indexes),
    };
    await this.#broker.join(this.#options.group, this.#member);
  }

  pause(partitions: PartitionRef[]): void {
    this.#loop?.pause(partitions);
  }

  resume(partitions: PartitionRef[]): void {
    this.#loop?.resume(partitions);
  }

  seek(positions: Position[]): void {
    this.#loop?.seek(positions);
  }

  async commit(commits: Commit[]): Promise<void> {
    await this.#broker.answering();
    const { group } = this.#options;
    const member = this.#member;
    const [ours, lost] = [true, false].map((wanted) =>
      commits.filter(
        (c) => (member !== undefined && this.#broker.owns(group, member, c.partition)) === wanted,
      ),
    ) as [Commit[], Commit[]];
    this.#broker.commit(group, ours);
    if (lost.length > 0) {
      throw new EventLogError('ownership_lost', `${group} lost ${lost.map(partitionKey).join()}`);
    }
  }

  async stop(): Promise<void> {
    const member = this.#member;
    if (!member) return;
    this.#release();
    await this.#loop?.close();
    await this.#revoke([...this.#held]);
    this.#member = undefined;
    await this.#broker.leave(this.#options.group, member);
  }

  async #assign(indexes: number[]): Promise<void> {
    if (!this.#member) return;
    for (const index of indexes) this.#held.add(index);
    const refs = this.#refs(indexes);
    const assigned: AssignedPartition[] = refs.map((ref) => {
      const commit = this.#broker.committed(this.#options.group, ref);
      return { ...ref, committed: commit?.next ?? null, metadata: commit?.metadata ?? '' };
    });
    const chosen = (await this.#handlers?.onAssigned(assigned)) ?? [];
    const starts = assigned.map(({ topic, partition, committed }) => {
      const own = chosen.find((p) => p.topic === topic && p.partition === partition);
      return { topic, partition, offset: own?.offset ?? committed ?? 0 };
    });
    this.#loop?.add(starts.filter((p) => this.#held.has(p.partition)));
  }

  async #revoke(indexes: number[]): Promise<void> {
    const refs = this.#refs(indexes.filter((index) => this.#held.delete(index)));
    this.#loop?.remove(refs);
    if (refs.length > 0) await withinRevocationTime(this.#handlers?.onRevoked(refs));
  }

  #refs(indexes: number[]): PartitionRef[] {
    return this.#options.topics.flatMap(({ name }) =>
      indexes
        .filter((i) => i < this.#broker.partitionCount(name))
        .map((partition) => ({ topic: name, partition })),
    );
  }
}
