import type { HistoryMessage } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { Author } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';
import { absent } from '../http/refusals.js';
import type { HistoryReader } from './history-reader.js';

/**
 * Makes history forget a message's payload. The audit entry is committed only when audit-log has done it; should the
 * commit fail then, the caller is told so, repeats it, and the entry is there: shredding again changes nothing.
 */
export async function shredPayload(
  changes: Changes,
  reader: HistoryReader,
  author: Author,
  { tenant, id }: HistoryMessage,
): Promise<void> {
  await changes.make(author, async (draft) => {
    await draft.audit(tenant, 'message.payload_shredded', { kind: 'message', id, version: 0 }, []);
    const { found, open = 0 } = await reader.read((client) =>
      client.shredPayload({ tenant, id, by: author.actor }),
    );
    if (!found) throw absent('message', ':id');
    if (open > 0) {
      const message = `has ${open} open ${open === 1 ? 'delivery' : 'deliveries'}, which need it`;
      throw new Problem('conflict', `The payload cannot be shredded: the message ${message}.`, [
        { pointer: ':id', code: 'owed', message },
      ]);
    }
  });
}
