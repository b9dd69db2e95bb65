/**
 * The tables whose rows belong to a message and come and go with it: what retention deletes from, and a rebuild compares.
 * Ids begin with their message's time, so each table's primary key finds what is old, and no index on time is needed.
 */
export interface TableByTime {
  table: string;
  /** The first column of its primary key. */
  key: string;
  /** The primary key. */
  unique: string;
  of: 'delivery' | 'message';
}

/** In the order of deletion: what is looked up by a message's row goes before it. */
export const tablesByTime: readonly TableByTime[] = [
  { table: 'attempt', key: 'delivery', unique: 'delivery, number', of: 'delivery' },
  { table: 'shadow_attempt', key: 'delivery', unique: 'delivery, number', of: 'delivery' },
  { table: 'requested_attempt', key: 'delivery', unique: 'delivery, number', of: 'delivery' },
  { table: 'delivery', key: 'id', unique: 'id', of: 'delivery' },
  { table: 'message', key: 'id', unique: 'id', of: 'message' },
];
