import type { NodeRef } from '@posthaste/audit-tree';
import type { ListTreeEntriesRequest, StoredTreeEntry } from '@posthaste/contracts';
import type pg from 'pg';

/** Undefined while the tenant's tree has no entry. */
export async function getHead(
  pool: pg.Pool,
  tenant: string,
): Promise<{ size: number; checkpoint: string } | undefined> {
  const { rows } = await pool.query<{ size: number; checkpoint: string }>(
    'select size, checkpoint from audit.head where tenant = $1',
    [tenant],
  );
  return rows[0];
}

/** In order; no further than the head, which is where the signed tree ends. */
export async function listEntries(
  pool: pg.Pool,
  { tenant, from = 0, limit }: ListTreeEntriesRequest,
): Promise<StoredTreeEntry[]> {
  const { rows } = await pool.query<StoredTreeEntry>(
    `select e.seq as sequence, e.canonical, e.leaf_hash, e.signature
     from audit.entry e join audit.head h using (tenant)
     where e.tenant = $1 and e.seq >= $2 and e.seq < h.size order by e.seq limit $3`,
    [tenant, from, limit],
  );
  return rows;
}

/** The hashes of complete subtrees, leaves among them. Throws where one is gone. */
export async function loadNodes(
  pool: pg.Pool,
  tenant: string,
  refs: NodeRef[],
): Promise<(ref: NodeRef) => Buffer> {
  const { rows } = await pool.query<{ level: number; index: number; hash: Buffer }>(
    `select level, idx as index, hash from audit.node
     join unnest($2::int[], $3::bigint[]) as given (level, idx) using (level, idx) where tenant = $1
     union all
     select 0, seq, leaf_hash from audit.entry where tenant = $1 and seq = any($4::bigint[])`,
    [
      tenant,
      refs.map(({ level }) => level),
      refs.map(({ index }) => index),
      refs.filter(({ level }) => level === 0).map(({ index }) => index),
    ],
  );
  const found = new Map(rows.map(({ level, index, hash }) => [`${level}/${index}`, hash]));
  return ({ level, index }) => {
    const hash = found.get(`${level}/${index}`);
    if (hash === undefined) throw new Error(`the tree of ${tenant} lacks its node ${level}/${index}`);
    return hash;
  };
}
