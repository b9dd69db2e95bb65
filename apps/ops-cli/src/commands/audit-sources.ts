import { readFileSync } from 'node:fs';
import type { AuditRow, SignedTree } from '@posthaste/audit-tree';
import type { AuditCheckpoint, AuditEntryList, LoggedEntry } from '@posthaste/contracts';
import { z } from 'zod';
import type { Api } from '../api.js';
import type { Context } from '../command.js';
import { Failure } from '../failure.js';

/** A signed head and the entries it is over, wherever they come from. */
export interface AuditSource {
  signed: SignedTree;
  /** Null for one that cannot be read. */
  rows: AsyncIterable<AuditRow | null> | (AuditRow | null)[];
}

const PAGE_ROWS = 1_000;

const SignedTreeLine = z.object({ checkpoint: z.string(), public_keys: z.array(z.string()) });
const RowLine = z.object({
  sequence: z.number(),
  canonical: z.string(),
  leaf_hash: z.string(),
  signature: z.string(),
});

/** The head is read first: the tree may grow meanwhile, and what it grew by is left out. */
export async function serverSource({ api, progress }: Context): Promise<AuditSource> {
  const server = api();
  const { size, checkpoint, public_keys } = await server.get<AuditCheckpoint>('/v1/audit/checkpoint');
  return { signed: { checkpoint, public_keys }, rows: entriesUpTo(server, size, progress) };
}

async function* entriesUpTo(
  api: Api,
  size: number,
  progress: (line: string) => void,
): AsyncGenerator<LoggedEntry> {
  for (let from: number | null = 0; from !== null && from < size;) {
    const limit = Math.min(PAGE_ROWS, size - from);
    const page: AuditEntryList = await api.get<AuditEntryList>('/v1/audit/entries', { from, limit });
    yield* page.data;
    from = page.next_from;
    progress(`${from ?? size} of ${size} entries`);
  }
}

/** What `audit export` wrote: the signed head in the first line, and an entry in each other one. */
export function fileSource(file: string): AuditSource {
  const [head, ...lines] = linesOf(file);
  const first = SignedTreeLine.safeParse(parsed(head));
  if (!first.success) {
    throw new Failure('usage', `${file} does not begin with a checkpoint`, {
      hint: 'it is written by posthaste audit export',
    });
  }
  const rows = lines.map((line) => RowLine.safeParse(parsed(line)));
  return { signed: first.data, rows: rows.map(({ data }) => data ?? null) };
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').replace(/\n$/, '').split('\n');
  } catch (error) {
    throw new Failure('usage', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function parsed(line: string | undefined): unknown {
  try {
    return JSON.parse(line ?? '');
  } catch {
    return undefined;
  }
}
