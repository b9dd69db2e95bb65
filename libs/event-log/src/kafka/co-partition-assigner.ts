import kafkajs, { type PartitionAssigner } from 'kafkajs';

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;
const VERSION = 0;

/**
 * Partition i of every topic goes to the member at i modulo their count, in the order of their ids: what is equal in
 * number is together, which kafkajs's own assigner does not give. Members without a partition get an empty list.
 */
export function assignCoPartitioned(
  members: string[],
  topics: { topic: string; partitions: number[] }[],
): Map<string, Record<string, number[]>> {
  const sorted = [...members].sort();
  return new Map(
    sorted.map((member, index) => {
      const mine = topics.map(({ topic, partitions }): [string, number[]] => [
        topic,
        partitions.filter((partition) => partition % sorted.length === index),
      ]);
      return [member, Object.fromEntries(mine.filter(([, partitions]) => partitions.length > 0))];
    }),
  );
}

export const coPartitionAssigner: PartitionAssigner = ({ cluster }) => ({
  name: 'posthaste-co-partitioned',
  version: VERSION,
  protocol: ({ topics }) => ({
    name: 'posthaste-co-partitioned',
    metadata: MemberMetadata.encode({ version: VERSION, topics, userData: Buffer.alloc(0) }),
  }),
  assign: async ({ members, topics }) => {
    const known = topics.map((topic) => ({
      topic,
      partitions: cluster.findTopicPartitionMetadata(topic).map((p) => p.partitionId),
    }));
    const plan = assignCoPartitioned(
      members.map((member) => member.memberId),
      known,
    );
    return [...plan].map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version: VERSION, assignment, userData: Buffer.alloc(0) }),
    }));
  },
});
