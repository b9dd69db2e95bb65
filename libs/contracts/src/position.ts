/**
 * A message's position: its place in its account's order, as the header `webhook-position` tells it and as ranges of
 * `reconcile` are given. It is where the message's record lies in topic `messages` (the partition in three characters,
 * the offset in eleven, both in base 32), so it costs nothing and is the same for every attempt.
 *
 * Promised: of two messages of one account the later one has the greater text, compared character by character. That
 * rests on all messages of an account lying in one partition, as long as the topic keeps its number of partitions. Not
 * promised: that positions have no gaps, nor any order between accounts. To everybody else it is opaque.
 *
 * A message that was appended twice under one id (an append whose acknowledgement was lost) has the position of its
 * first record. Should the dispatcher send the second one, because the first was put off or another process had it, that
 * attempt tells the second place: later than the first, and still no other message's. So receivers count by
 * `webhook-id`, and `reconcile` compares ids and not places. Of more than 500 endpoints a message has, those of each
 * further record are told that record's place.
 */
const PARTITION_CHARS = 3;
const OFFSET_CHARS = 11;

export const POSITION_PATTERN = /^[0-9a-v]{14}$/;

/** @param offset of the message's record, at most 2^53 - 1 */
export function messagePosition(partition: number, offset: number): string {
  return (
    partition.toString(32).padStart(PARTITION_CHARS, '0') + offset.toString(32).padStart(OFFSET_CHARS, '0')
  );
}
