import { parseCheckpoint } from '@posthaste/audit-tree';
import {
  type AuditCheckpoint,
  type AuditEntriesQuery,
  type AuditEntryList,
  AuditEntry,
  type ConsistencyProof,
  type ConsistencyQuery,
  type InclusionProof,
  type InclusionQuery,
  type LoggedEntry,
  type StoredTreeEntry,
} from '@posthaste/contracts';
import type { HistoryReader } from '../history/index.js';
import { absent, fieldProblem } from '../http/refusals.js';

/**
 * A tenant's audit log, as audit-log has it: entries, the signed head of their tree, and proofs. Nothing is verified here:
 * whoever doubts us must not have to ask us.
 */
export class Audit {
  constructor(private readonly reader: HistoryReader) {}

  async checkpoint(tenant: string): Promise<AuditCheckpoint> {
    const { checkpoint, public_keys } = await this.reader.audit((client) => client.getCheckpoint({ tenant }));
    if (checkpoint === undefined) throw absent('checkpoint', 'authorization');
    const { size = 0, root } = parseCheckpoint(checkpoint) ?? {};
    return { size, root: root?.toString('hex') ?? '', checkpoint, public_keys };
  }

  async entries(tenant: string, { from, limit }: AuditEntriesQuery): Promise<AuditEntryList> {
    const { data, size = 0 } = await this.reader.audit((client) =>
      client.listEntries({ tenant, from, limit }),
    );
    const entries = data.map(entryView);
    // By what was found: where rows are gone, going on by the size would never end.
    const last = entries.at(-1);
    const hasMore = last !== undefined && entries.length === limit && last.sequence + 1 < size;
    return { data: entries, size, next_from: hasMore ? last.sequence + 1 : null, has_more: hasMore };
  }

  async inclusion(tenant: string, { sequence, size }: InclusionQuery): Promise<InclusionProof> {
    const { proof, tree_size = 0 } = await this.reader.audit((client) =>
      client.proveInclusion({ tenant, sequence, size }),
    );
    if (!proof) {
      throw size !== undefined && size > tree_size
        ? beyond('?size', `is beyond the tree, which has ${tree_size} entries`)
        : beyond('?sequence', `is not in a tree of ${size ?? tree_size} entries`);
    }
    const { leaf_hash, root } = proof;
    return {
      sequence,
      size: proof.size,
      leaf_hash: hex(leaf_hash),
      root: hex(root),
      path: proof.path.map(hex),
    };
  }

  async consistency(tenant: string, { from, to }: ConsistencyQuery): Promise<ConsistencyProof> {
    const { proof, tree_size = 0 } = await this.reader.audit((client) =>
      client.proveConsistency({ tenant, from, to }),
    );
    if (!proof) {
      throw to !== undefined && to > tree_size
        ? beyond('?to', `is beyond the tree, which has ${tree_size} entries`)
        : beyond('?from', `is beyond a tree of ${to ?? tree_size} entries`);
    }
    const { from_root, to_root, path } = proof;
    return { from, to: proof.to, from_root: hex(from_root), to_root: hex(to_root), path: path.map(hex) };
  }
}

const hex = (bytes: Buffer): string => bytes.toString('hex');

function beyond(pointer: string, message: string) {
  return fieldProblem([{ pointer, code: 'beyond_the_tree', message }], 'invalid_request');
}

/** gRPC leaves out what is zero or empty. */
function entryView({
  sequence = 0,
  canonical = Buffer.of(),
  leaf_hash,
  signature,
}: StoredTreeEntry): LoggedEntry {
  const text = canonical.toString();
  return {
    sequence,
    entry: readable(text),
    canonical: text,
    leaf_hash: hex(leaf_hash),
    signature: signature.toString('base64'),
  };
}

function readable(text: string): LoggedEntry['entry'] {
  try {
    const { id, tenant, action, entity, actor, from, at, changed } = AuditEntry.parse(JSON.parse(text));
    return { id, tenant, action, entity, actor, from, at, changed };
  } catch {
    return null;
  }
}
