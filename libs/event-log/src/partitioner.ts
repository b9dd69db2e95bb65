/**
 * The partition of a key: FNV-1a over its UTF-16 code units, modulo the partition count. Ours rather than the
 * client's, because the response check of the Kafka adapter must know where a record was meant to go, and because all
 * adapters must agree. Changing it breaks the order of every key across the change.
 */
export function partitionOf(key: string, partitions: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) {
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  }
  return (hash >>> 0) % partitions;
}
