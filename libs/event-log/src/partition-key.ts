import type { PartitionRef } from './port.js';

/** A partition as the key of a map, and as people read it. */
export const partitionKey = ({ topic, partition }: PartitionRef): string => `${topic}/${partition}`;
