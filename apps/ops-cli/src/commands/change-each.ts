import type { Given } from '../command.js';
import { Failure } from '../failure.js';
import type { Answer } from '../output.js';

/** How one thing is looked at and changed. States are words for people. */
export interface Changing {
  read: (id: string) => Promise<string>;
  /** What it will be, by what it is. */
  wanted: (state: string) => string;
  /** Why the server would refuse it, as far as its state says so. */
  obstacle?: (state: string) => string | undefined;
  change: (id: string) => Promise<string>;
}

interface Change {
  id: string;
  from: string;
  to: string;
  /** Why it was not changed. */
  error?: string;
}

/**
 * Changes each of the things that were named. All are read before any is changed, so that a wrong id changes nothing;
 * what fails afterwards is reported beside what was done, and what follows it is still tried.
 */
export async function changeEach({ words, dryRun, yes }: Given, changing: Changing): Promise<Answer> {
  const ids = [...new Set(words)];
  if (ids.length > 1 && !dryRun && !yes) {
    throw new Failure('usage', `this would change ${ids.length} at once`, {
      hint: 'look with --dry-run, then say --yes',
    });
  }
  const states = new Map<string, string>();
  for (const id of ids) states.set(id, await changing.read(id));
  const changes: Change[] = [];
  for (const [id, from] of states) {
    const error = changing.obstacle?.(from);
    if (dryRun && error !== undefined) changes.push({ id, from, to: from, error });
    else if (dryRun) changes.push({ id, from, to: changing.wanted(from) });
    else changes.push({ id, from, ...(await changed(id, from, changing, ids.length > 1)) });
  }
  const isBad = changes.some(({ error }) => error !== undefined);
  const titles = ['id', 'was', dryRun ? 'would be' : 'is', ...(isBad ? ['error'] : [])];
  return {
    kind: 'data',
    json: { dry_run: dryRun, changes },
    blocks: [
      { titles, rows: changes.map(({ id, from, to, error }) => [id, from, to, ...(isBad ? [error] : [])]) },
    ],
    ...(dryRun ? { note: 'nothing was changed: --dry-run' } : {}),
    isBad,
  };
}

async function changed(
  id: string,
  from: string,
  changing: Changing,
  isOneOfMany: boolean,
): Promise<Pick<Change, 'to' | 'error'>> {
  try {
    return { to: await changing.change(id) };
  } catch (error) {
    if (!isOneOfMany || !(error instanceof Failure)) throw error;
    return { to: from, error: error.message };
  }
}
