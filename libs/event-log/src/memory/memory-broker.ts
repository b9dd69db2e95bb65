import type { FetchedBatch, FetchLimits } from '../fetch-loop.js';
import { partitionKey } from '../partition-key.js';
import { partitionOf } from '../partitioner.js';
import type { Commit, OutgoingRecord, PartitionRef, Position, StoredRecord, TopicLayout } from '../port.js';
import { recordBytes } from '../record-size.js';

/**
 * The log of a test: partitions, groups and commits in this process, shared by every MemoryEventLog attached to it.
 * What a real log does to its users only on bad days it does on demand: move partitions, lose acknowledgements, hand
 * out records twice, stall, go away.
 */
export interface MemoryMember {
  /** Gives partition indexes up; resolves when the member has let go. */
  revoke(indexes: number[]): Promise<void>;
  assign(indexes: number[]): Promise<void>;
  topics: string[];
}

interface MemoryPartition {
  start: number;
  next: number;
  records: StoredRecord[];
}

interface MemoryGroup {
  members: MemoryMember[];
  owners: Map<number, MemoryMember>;
  commits: Map<string, Commit>;
  balancing: Promise<void>;
}

export class MemoryBroker {
  readonly #topics = new Map<string, MemoryPartition[]>();
  readonly #compacted = new Set<string>();
  readonly #groups = new Map<string, MemoryGroup>();
  readonly #listeners = new Set<(topic: string) => void>();
  #lostAcknowledgements = 0;
  #duplicatedFetches = 0;
  #fetchingStalled = false;
  #answering = true;
  #wakeAnswering: () => void = () => undefined;
  #untilAnswering = Promise.resolve();

  // -- what tests do to it

  /** Every partition of the group changes hands and comes back. */
  async forceRebalance(group: string): Promise<void> {
    const { owners } = this.#group(group);
    const held = [...owners.entries()];
    owners.clear();
    await Promise.all(held.map(([index, member]) => member.revoke([index])));
    await this.rebalance(group);
  }

  /** The next appends are in the log, but their producers never learn it. */
  loseAcknowledgements(count: number): void {
    this.#lostAcknowledgements = count;
  }

  /** The next fetches start at records that were already handed out. */
  duplicateFetches(count: number): void {
    this.#duplicatedFetches = count;
  }

  stallFetching(stalled: boolean): void {
    this.#fetchingStalled = stalled;
    for (const topic of this.#topics.keys()) this.#announce(topic);
  }

  stopAnswering(): void {
    if (!this.#answering) return;
    this.#answering = false;
    this.#untilAnswering = new Promise((resolve) => (this.#wakeAnswering = resolve));
  }

  answerAgain(): void {
    this.#answering = true;
    this.#wakeAnswering();
  }

  /** What a cleaner does: superseded records of compacted topics go, and `deleteBefore` the oldest of others. */
  compact(): void {
    for (const name of this.#compacted) {
      for (const partition of this.#topics.get(name) ?? []) {
        const latest = new Map(partition.records.map((record) => [record.key, record.offset]));
        partition.records = partition.records.filter((record) => latest.get(record.key) === record.offset);
      }
    }
  }

  deleteBefore(position: Position): void {
    const partition = this.#partition(position);
    partition.records = partition.records.filter((record) => record.offset >= position.offset);
    partition.start = position.offset;
  }

  // -- what the log's clients use

  async answering(): Promise<void> {
    await this.#untilAnswering;
  }

  ensureTopic(topic: TopicLayout, scale: 'production' | 'single'): void {
    if (this.#topics.has(topic.name)) return;
    const partitions = Array.from({ length: topic.partitions[scale] }, () => ({
      start: 0,
      next: 0,
      records: [],
    }));
    this.#topics.set(topic.name, partitions);
    if (topic.cleanup.policy === 'compact') this.#compacted.add(topic.name);
  }

  /** Undefined: the records are in, but nobody will be told. */
  append(records: OutgoingRecord[]): Position[] | undefined {
    const positions = records.map(({ topic, ...record }) => {
      const partitions = this.#topics.get(topic.name);
      if (!partitions) throw new Error(`topic ${topic.name} does not exist`);
      const ref = { topic: topic.name, partition: partitionOf(record.key, partitions.length) };
      const partition = this.#partition(ref);
      const offset = partition.next++;
      // The producer may use its buffer again; what is in the log stays.
      partition.records.push({ ...record, value: Buffer.from(record.value), offset, appendedAt: Date.now() });
      return { ...ref, offset };
    });
    for (const topic of new Set(records.map((record) => record.topic.name))) this.#announce(topic);
    if (this.#lostAcknowledgements > 0) {
      this.#lostAcknowledgements--;
      return undefined;
    }
    return positions;
  }

  fetch(wanted: Position[], limits: FetchLimits): FetchedBatch[] {
    if (this.#fetchingStalled) return [];
    let back = 0;
    if (this.#duplicatedFetches > 0) {
      this.#duplicatedFetches--;
      back = 3;
    }
    const batches: FetchedBatch[] = [];
    for (const { topic, partition: index, offset } of wanted) {
      const partition = this.#partition({ topic, partition: index });
      if (partition.next <= offset && back === 0) continue;
      const records: StoredRecord[] = [];
      let bytes = 0;
      let more = false;
      for (let i = firstAtOrAbove(partition.records, offset - back); i < partition.records.length; i++) {
        const record = partition.records[i] as StoredRecord;
        more = records.length >= limits.recordsPerPartition || bytes >= limits.bytesPerPartition;
        if (more) break;
        bytes += recordBytes(record);
        records.push(record);
      }
      const next = more ? (records.at(-1)?.offset ?? offset) + 1 : partition.next;
      batches.push({ topic, partition: index, records, next, more });
    }
    return batches;
  }

  positions(topic: string, edge: 'start' | 'next'): Position[] {
    return (this.#topics.get(topic) ?? []).map((held, partition) => ({
      topic,
      partition,
      offset: held[edge],
    }));
  }

  subscribe(listener: (topic: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // -- groups: partition i of every topic belongs to member i mod n; the owner lets go before the next one takes over

  async join(group: string, member: MemoryMember): Promise<void> {
    this.#group(group).members.push(member);
    await this.rebalance(group);
  }

  async leave(group: string, member: MemoryMember): Promise<void> {
    const { members, owners } = this.#group(group);
    members.splice(members.indexOf(member), 1);
    for (const [index, owner] of owners) if (owner === member) owners.delete(index);
    await this.rebalance(group);
  }

  rebalance(name: string): Promise<void> {
    const group = this.#group(name);
    group.balancing = group.balancing.then(() => this.#balance(group));
    return group.balancing;
  }

  owns(group: string, member: MemoryMember, partition: number): boolean {
    return this.#group(group).owners.get(partition) === member;
  }

  commit(group: string, commits: Commit[]): void {
    for (const commit of commits) this.#group(group).commits.set(partitionKey(commit), commit);
  }

  committed(group: string, ref: PartitionRef): Commit | undefined {
    return this.#group(group).commits.get(partitionKey(ref));
  }

  partitionCount(topic: string): number {
    return this.#topics.get(topic)?.length ?? 0;
  }

  async #balance({ members, owners }: MemoryGroup): Promise<void> {
    const width = Math.max(0, ...members.flatMap((m) => m.topics.map((topic) => this.partitionCount(topic))));
    const targets = new Map<number, MemoryMember>();
    for (let index = 0; index < width; index++) {
      const target = members[index % members.length];
      if (target) targets.set(index, target);
    }
    const surplus = new Map<MemoryMember, number[]>();
    for (const [index, owner] of owners) {
      if (targets.get(index) !== owner) surplus.set(owner, [...(surplus.get(owner) ?? []), index]);
    }
    await Promise.all(
      [...surplus].map(async ([owner, indexes]) => {
        await owner.revoke(indexes);
        for (const index of indexes) if (owners.get(index) === owner) owners.delete(index);
      }),
    );
    const gained = new Map<MemoryMember, number[]>();
    for (const [index, target] of targets) {
      // Someone may have left while others let go; the round their leaving started goes on from here.
      if (owners.has(index) || !members.includes(target)) continue;
      owners.set(index, target);
      gained.set(target, [...(gained.get(target) ?? []), index]);
    }
    await Promise.all([...gained].map(([member, indexes]) => member.assign(indexes)));
  }

  #group(name: string): MemoryGroup {
    let group = this.#groups.get(name);
    if (!group) {
      group = { members: [], owners: new Map(), commits: new Map(), balancing: Promise.resolve() };
      this.#groups.set(name, group);
    }
    return group;
  }

  #partition(ref: PartitionRef): MemoryPartition {
    const partition = this.#topics.get(ref.topic)?.[ref.partition];
    if (!partition) throw new Error(`partition ${partitionKey(ref)} does not exist`);
    return partition;
  }

  #announce(topic: string): void {
    for (const listener of this.#listeners) listener(topic);
  }
}

/** The index of the first record at or above an offset, by bisection: compaction leaves gaps. */
function firstAtOrAbove(records: StoredRecord[], offset: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle] as StoredRecord).offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
