import { canonicalJson, leafHash, type SigningKey } from '@posthaste/audit-tree';
import { type AuditEntry, topics } from '@posthaste/contracts';
import { PostgresProjection, type ProjectionBatch, type RefusedRecord } from '@posthaste/event-log';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';
import { type Growth, Tree } from './tree.js';
import { insertGrowth } from './sql/insert-growth.js';
import { insertAside } from './sql/insert-aside.js';
import { lockTrees } from './sql/lock-trees.js';

/**
 * Grows the audit tree of each tenant from the topic `audit`: who did what, in the order of the log.
 *
 * Promises: one leaf for each entry, whatever the log has twice; the same tree, with the same signatures, whenever it is
 * built again from the log with the same key; entries, nodes, head and position in one transaction that waits for the
 * disk, because what was signed once must not be forgotten. Not promised: that nobody with the right to write to these
 * tables has altered them since. That is what the signatures and `posthaste audit verify` are for.
 *
 * A tree whose head is not the one that was signed last is not grown: signing it would bless what somebody made of it.
 * Its entries are put aside, and audit-log says so, until the tree is built again from the log.
 */
export const AUDIT_TREE_GROUP = 'audit-tree';
export const auditTreeTopics = [topics.audit];

export interface AuditTreeOptions {
  pool: pg.Pool;
  /** The first one signs each entry, all of them the checkpoint: so a verifier that knows an older one still can. */
  keys: SigningKey[];
  onAside: (found: RefusedRecord) => void;
  /** The heads of trees that have grown, once they are stored. */
  onGrown: (growths: Growth[]) => void;
}

interface Fact {
  entry: AuditEntry;
  canonical: Buffer;
  source: RefusedRecord;
}

interface Facts {
  entries: Fact[];
  unreadable: RefusedRecord[];
}

export function auditTreeProjection({
  pool,
  keys,
  onAside,
  onGrown,
}: AuditTreeOptions): PostgresProjection<Facts> {
  const putAside = async (client: pg.PoolClient, found: RefusedRecord[]): Promise<() => void> => {
    if (found.length > 0) await insertAside(client, found);
    return () => found.forEach(onAside);
  };
  return new PostgresProjection({
    schema: 'audit',
    pool,
    inTransaction: (work) => inTransaction(pool, work),
    read: async (batches) => readFacts(batches),
    write: async (client, { entries, unreadable }) => {
      const { growths, refused } = await grow(client, keys, entries);
      await insertGrowth(client, growths);
      const told = await putAside(client, [...unreadable, ...refused]);
      return () => {
        onGrown(growths);
        told();
      };
    },
    putAside: (client, refused) => putAside(client, [refused]),
  });
}

/**
 * The entry, and what is hashed of it: all its record says, also what a later version says there and this one cannot
 * read. So a tree that is built again by that version is the same.
 */
export function readEntry(record: { value: Buffer }): Pick<Fact, 'entry' | 'canonical'> {
  const entry = topics.audit.decode(record);
  return { entry, canonical: Buffer.from(canonicalJson(JSON.parse(record.value.toString()))) };
}

function readFacts(batches: ProjectionBatch[]): Facts {
  const facts: Facts = { entries: [], unreadable: [] };
  for (const { topic, partition, records } of batches) {
    for (const record of records) {
      const source = { topic, partition, record, reason: '' };
      try {
        facts.entries.push({ ...readEntry(record), source });
      } catch (error) {
        facts.unreadable.push({ ...source, reason: error instanceof Error ? error.message : String(error) });
      }
    }
  }
  return facts;
}

async function grow(
  client: pg.PoolClient,
  keys: SigningKey[],
  facts: Fact[],
): Promise<{ growths: Growth[]; refused: RefusedRecord[] }> {
  const { trees, known } = await lockTrees(
    client,
    facts.map(({ entry }) => entry),
  );
  const grown = new Map<string, Tree>();
  const refused: RefusedRecord[] = [];
  for (const { entry, canonical, source } of facts) {
    if (known.has(entry.id)) continue;
    const tree = grown.get(entry.tenant) ?? new Tree(entry.tenant, keys, trees.get(entry.tenant));
    if (!tree.isAsSigned) {
      refused.push({ ...source, reason: `the tree of ${entry.tenant} is not the one that was signed` });
      continue;
    }
    known.add(entry.id);
    grown.set(entry.tenant, tree);
    tree.append({ id: entry.id, canonical, leaf: leafHash(canonical) });
  }
  return { growths: [...grown.values()].map((tree) => tree.growth()), refused };
}
