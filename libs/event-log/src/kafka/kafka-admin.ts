import type { Topic } from '@posthaste/contracts';
import kafkajs, { type Admin } from 'kafkajs';
import type { RenewableClient } from './renewable-client.js';
import type { AssignedPartition, LogAdmin, PartitionRef, Position, TopicLayout } from '../port.js';

type Named = Pick<Topic, 'name'>;

/** What operators and start-up ask of the cluster. In production topics are made by its owner; this makes the rest. */
export class KafkaAdmin implements LogAdmin {
  constructor(
    private readonly admin: RenewableClient<Admin>,
    private readonly replicationFactor?: number,
  ) {}

  async ensureTopics(topics: TopicLayout[], scale: 'production' | 'single'): Promise<void> {
    const existing = new Set(await this.admin.ask((client) => client.listTopics()));
    const missing = topics.filter((topic) => !existing.has(topic.name));
    if (missing.length === 0) return;
    const { brokers } = await this.admin.ask((client) => client.describeCluster());
    const replicationFactor = Math.min(this.replicationFactor ?? 3, brokers.length);
    // Another service may be creating the same ones: that they exist already is no error to kafkajs.
    const wanted = missing.map((topic) => ({
      topic: topic.name,
      numPartitions: topic.partitions[scale],
      replicationFactor,
      configEntries: settingsOf(topic, replicationFactor),
    }));
    await this.admin.ask((client) => client.createTopics({ topics: wanted }));
  }

  async endOffsets(topic: Named): Promise<Position[]> {
    return (await this.offsets(topic.name)).map(({ partition, high }) => at(topic, partition, high));
  }

  async startOffsets(topic: Named): Promise<Position[]> {
    return (await this.offsets(topic.name)).map(({ partition, low }) => at(topic, partition, low));
  }

  async lag(group: string, topics: Named[]): Promise<(PartitionRef & { lag: number })[]> {
    const names = topics.map((topic) => topic.name);
    const committed = await this.admin.ask((client) =>
      client.fetchOffsets({ groupId: group, topics: names }),
    );
    const ofTopic = await Promise.all(
      topics.map(async (topic) => {
        const commits = committed.find((c) => c.topic === topic.name)?.partitions ?? [];
        return (await this.offsets(topic.name)).map(({ partition, high, low }) => {
          const next = Number(commits.find((c) => c.partition === partition)?.offset ?? -1);
          // A commit may be older than what is kept; what is gone is no lag.
          return { topic: topic.name, partition, lag: Number(high) - Math.max(next, Number(low)) };
        });
      }),
    );
    return ofTopic.flat();
  }

  private async offsets(topic: string): Promise<{ partition: number; high: string; low: string }[]> {
    const all = await this.admin.ask((client) => client.fetchTopicOffsets(topic));
    return all.sort((a, b) => a.partition - b.partition);
  }
}

const at = (topic: Named, partition: number, offset: string): Position => ({
  topic: topic.name,
  partition,
  offset: Number(offset),
});

function settingsOf(topic: TopicLayout, replicationFactor: number): { name: string; value: string }[] {
  const settings: Record<string, string | number> = {
    'min.insync.replicas': Math.min(2, replicationFactor),
    // A broker that recompressed would hand kafkajs batches it cannot read.
    'compression.type': 'producer',
    // The log's clock, not that of each producer: retention and `appendedAt` then agree.
    'message.timestamp.type': 'LogAppendTime',
    ...(topic.cleanup.policy === 'compact'
      ? { 'cleanup.policy': 'compact' }
      : { 'cleanup.policy': 'delete', 'retention.ms': topic.cleanup.retentionMs }),
  };
  return Object.entries(settings).map(([name, value]) => ({ name, value: String(value) }));
}

/** What a group last committed for these partitions. */
export async function readCommitted(
  admin: Admin,
  group: string,
  refs: PartitionRef[],
): Promise<AssignedPartition[]> {
  const topics = [...new Set(refs.map((ref) => ref.topic))];
  const stored = await admin.fetchOffsets({ groupId: group, topics });
  return refs.map((ref) => {
    const ofTopic = stored.find((entry) => entry.topic === ref.topic)?.partitions;
    const commit = ofTopic?.find((entry) => entry.partition === ref.partition);
    const offset = Number(commit?.offset ?? -1);
    return { ...ref, committed: offset < 0 ? null : offset, metadata: commit?.metadata ?? '' };
  });
}

/**
 * The ends a consumer of these topics must be able to reach: those with a record before them. A compacted topic has
 * none to speak of, because its last offsets may be cleaned away; nor has a partition whose records have all expired.
 */
export async function readableEnds(admin: Admin, topics: string[]): Promise<Position[]> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map((name) => ({
      type: kafkajs.ConfigResourceTypes.TOPIC,
      name,
      configNames: ['cleanup.policy'],
    })),
  });
  const isCompacted = (topic: string): boolean =>
    resources
      .find((resource) => resource.resourceName === topic)
      ?.configEntries.some((entry) => entry.configValue.includes('compact')) ?? false;
  const ends = await Promise.all(
    topics
      .filter((topic) => !isCompacted(topic))
      .map(async (name) => {
        const offsets = await admin.fetchTopicOffsets(name);
        const readable = offsets.filter(({ low, high }) => Number(high) > Number(low));
        return readable.map(({ partition, high }) => at({ name }, partition, high));
      }),
  );
  return ends.flat();
}
