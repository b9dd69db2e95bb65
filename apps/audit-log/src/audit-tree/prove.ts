import { consistencySpans, inclusionSpans, rootsOf, type Span, subtreesOf } from '@posthaste/audit-tree';
import type {
  ConsistencyReply,
  ConsistencyRequest,
  InclusionReply,
  InclusionRequest,
} from '@posthaste/contracts';
import type pg from 'pg';
import { getHead, loadNodes } from './sql/select-tree.js';

/** That an entry is in the tree of a size; without a proof when either is beyond the tree. */
export async function proveInclusion(
  pool: pg.Pool,
  { tenant, sequence = 0, size: asked }: InclusionRequest,
): Promise<InclusionReply> {
  const tree_size = (await getHead(pool, tenant))?.size ?? 0;
  const size = asked ?? tree_size;
  if (size > tree_size || sequence >= size) return { tree_size };
  const leaf = { start: sequence, end: sequence + 1 };
  const spans = [leaf, { start: 0, end: size }, ...inclusionSpans(sequence, size)];
  const [leaf_hash, root, ...path] = (await load(pool, tenant, spans)) as [Buffer, Buffer, ...Buffer[]];
  return { proof: { size, leaf_hash, root, path }, tree_size };
}

/** That the tree of one size is the beginning of that of another; without a proof when there is none of that size. */
export async function proveConsistency(
  pool: pg.Pool,
  { tenant, from = 0, to: asked }: ConsistencyRequest,
): Promise<ConsistencyReply> {
  const tree_size = (await getHead(pool, tenant))?.size ?? 0;
  const to = asked ?? tree_size;
  if (to > tree_size || from > to) return { tree_size };
  const spans = [{ start: 0, end: from }, { start: 0, end: to }, ...consistencySpans(from, to)];
  const [from_root, to_root, ...path] = (await load(pool, tenant, spans)) as [Buffer, Buffer, ...Buffer[]];
  return { proof: { to, from_root, to_root, path }, tree_size };
}

async function load(pool: pg.Pool, tenant: string, spans: Span[]): Promise<Buffer[]> {
  const refs = spans.flatMap(({ start, end }) => subtreesOf(start, end));
  return rootsOf(spans, await loadNodes(pool, tenant, refs));
}
