import { IsNull } from 'typeorm';
import type { Draft } from '../changes/changes.js';
import { sourceKind, SourceRow } from './source.entity.js';

/** Deletes the account's source with all that is known of it, for a draft that holds the account's lock; false: none. */
export async function removeSource(draft: Draft, account: string): Promise<boolean> {
  const row = await draft.manager.findOneBy(SourceRow, { account, deletedAt: IsNull() });
  if (row === null) return false;
  row.deletedAt = draft.at;
  row.headers = null;
  await draft.write(sourceKind, row, 'source.deleted', ['deleted']);
  await draft.manager.query('delete from config.source_stream where account = $1', [account]);
  await draft.manager.query('delete from config.known_connection where account = $1', [account]);
  return true;
}
