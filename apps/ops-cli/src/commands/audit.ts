import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { headFile, SavedHead, TreeCheck, type TreeFlaw } from '@posthaste/audit-tree';
import type { AuditEntryList, LoggedEntry } from '@posthaste/contracts';
import { z } from 'zod';
import type { Command, Context, Given } from '../command.js';
import { Failure } from '../failure.js';
import type { Answer, Cell } from '../output.js';
import { wholeNumber } from '../quantities.js';
import { pageOf } from './accounts.js';
import { type AuditSource, fileSource, serverSource } from './audit-sources.js';

const list: Command = {
  name: 'audit list',
  says: 'list who did what, the newest last',
  options: ['limit', 'from'],
  run: async (given, context) => {
    const { limit } = pageOf(given);
    const api = context.api();
    const ask = (from: number, most: number): Promise<AuditEntryList> =>
      api.get<AuditEntryList>('/v1/audit/entries', { from, limit: Math.min(most, 1_000) });
    const asked = given.options.from;
    const first = asked === undefined ? undefined : wholeNumber('from', asked, 0, Number.MAX_SAFE_INTEGER);
    const from = first ?? Math.max(0, (await ask(0, 1)).size - limit);
    const data: LoggedEntry[] = [];
    let page: AuditEntryList;
    do {
      page = await ask(from + data.length, limit - data.length);
      data.push(...page.data);
    } while (page.next_from !== null && data.length < limit);
    const next = page.next_from;
    return {
      kind: 'data',
      json: { ...page, data },
      blocks: [
        { titles: ['sequence', 'when', 'what', 'of', 'changed', 'who', 'from'], rows: data.map(cells) },
      ],
      ...(next === null ? {} : { note: `there are more: --from ${next}` }),
    };
  },
};

function cells({ sequence, entry }: LoggedEntry): Cell[] {
  if (entry === null)
    return [sequence, null, 'cannot be read: posthaste audit verify', null, null, null, null];
  const { at, action, entity, changed, actor, from } = entry;
  return [
    sequence,
    new Date(at).toISOString(),
    action,
    entity.id,
    changed.join(',') || null,
    actor,
    from || null,
  ];
}

const exported: Command = {
  name: 'audit export',
  says: 'print the whole audit log with what proves it, a line for each entry',
  options: [],
  run: async (_, context) => {
    const { signed, rows } = await serverSource(context);
    const lines = [JSON.stringify(signed)];
    for await (const row of rows) {
      if (row === null) continue;
      const { sequence, canonical, leaf_hash, signature } = row;
      lines.push(JSON.stringify({ sequence, canonical, leaf_hash, signature }));
    }
    return { kind: 'bytes', bytes: Buffer.from(`${lines.join('\n')}\n`) };
  },
};

const verify: Command = {
  name: 'audit verify',
  says: 'compute the audit tree again, and name the first entry that was changed, removed or moved',
  options: ['file', 'head', 'save'],
  run: async (given, context) => {
    const { file, head: headAt, save } = given.options;
    const head = headAt === undefined ? null : savedHead(headAt);
    const source = await sourceOf(given, context, head);
    if (source === null)
      return verdict({ sequence: 0, code: 'missing', message: 'is missing: the log is empty' }, null, head);
    const check = new TreeCheck(source.signed, head);
    for await (const row of source.rows) {
      check.add(row);
      // Nothing that follows could change what is the first.
      if (check.flaw !== null && check.flaw.sequence !== null) break;
    }
    const flaw = check.finish();
    if (flaw === null && save !== undefined) keep(save, JSON.stringify(headFile(check.headToSave())));
    const note =
      head === null && file === undefined && save === undefined
        ? {
            note: 'that nothing was cut off or replaced by its owner shows only beside a head saved before: --save',
          }
        : {};
    return { ...verdict(flaw, check, head), ...note };
  },
};

/** Null where there is no tree any more, although somebody saved its head. */
async function sourceOf(
  { options: { file } }: Given,
  context: Context,
  head: SavedHead | null,
): Promise<AuditSource | null> {
  if (file !== undefined) return fileSource(file);
  try {
    return await serverSource(context);
  } catch (error) {
    if (head !== null && error instanceof Failure && error.kind === 'not_found') return null;
    throw error;
  }
}

function verdict(flaw: TreeFlaw | null, check: TreeCheck | null, head: SavedHead | null): Answer {
  const { origin = head?.origin, size = 0, root } = check?.checkpoint ?? {};
  const subject = flaw?.sequence === null ? 'the checkpoint' : `entry ${flaw?.sequence}`;
  const problem = flaw && { code: flaw.code, message: `${subject} ${flaw.message}` };
  const json = {
    sound: flaw === null,
    first_bad_sequence: flaw?.sequence ?? null,
    problem,
    tree: { origin: origin ?? null, size, root: root?.toString('hex') ?? null },
    verified: check?.verified ?? 0,
    saved_head: head && { size: head.size, root: head.root.toString('hex') },
  };
  const fields: [string, Cell][] = [
    ['audit log', flaw === null ? 'ok' : 'wrong'],
    ['tree', origin],
    ['entries', size],
    ['verified', json.verified],
    ['saved head', head && `of ${head.size} entries`],
    ...(problem
      ? ([
          ['first bad sequence', json.first_bad_sequence],
          ['problem', problem.message],
        ] as [string, Cell][])
      : []),
  ];
  return { kind: 'data', json, blocks: [{ fields }], isBad: flaw !== null };
}

const HeadLine = z.object({ checkpoint: z.string(), public_keys: z.array(z.string()), marks: z.string() });

function savedHead(file: string): SavedHead {
  try {
    return new SavedHead(HeadLine.parse(JSON.parse(readFileSync(file, 'utf8'))));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = typeof code === 'string' ? `cannot be read: ${code}` : 'is not a saved head';
    throw new Failure('usage', `${file} ${why}`, { hint: 'it is written by posthaste audit verify --save' });
  }
}

/** The old one or the new one is there, whenever we are interrupted. */
function keep(file: string, text: string): void {
  const unfinished = `${file}.${process.pid}.new`;
  try {
    writeFileSync(unfinished, `${text}\n`);
    renameSync(unfinished, file);
  } catch (error) {
    throw new Failure('failed', `${file} cannot be written: ${(error as NodeJS.ErrnoException).code}`);
  }
}

export const audit = [list, exported, verify];
