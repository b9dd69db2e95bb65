import {
  type CompareReceivedReply,
  type CompareReceivedRequest,
  deliveryId,
  isId,
} from '@posthaste/contracts';
import type pg from 'pg';
import { listMeantIds } from './sql/select-meant.js';
import { selectKnown } from './sql/select-known.js';

/** One answer looks at so many of the range: a few megabytes and some tens of milliseconds. */
const MOST_COMPARED = 10_000;

/**
 * What was meant for an endpoint, against what its receiver says it has.
 *
 * `missing` is of the range. `unknown` is not: an id counts as known wherever in history it was meant for the endpoint,
 * so a receiver may name more than the range holds, and a message whose position it was told otherwise (it is in the
 * log twice) is no stranger.
 */
export async function compareReceived(
  pool: pg.Pool,
  { range, ids }: CompareReceivedRequest,
): Promise<CompareReceivedReply> {
  const meant = await listMeantIds(pool, range, MOST_COMPARED + 1);
  const compared = meant.slice(0, MOST_COMPARED);
  const received = new Set(ids);
  const missing = compared.filter(({ message }) => !received.has(message)).map(({ message }) => message);
  for (const { message } of compared) received.delete(message);
  return {
    missing,
    unknown: await unknownOf(pool, range, [...received]),
    next_from: meant[MOST_COMPARED]?.position,
  };
}

async function unknownOf(
  pool: pg.Pool,
  { tenant, endpoint }: CompareReceivedRequest['range'],
  ids: string[],
): Promise<string[]> {
  if (ids.length === 0) return [];
  const deliveries = new Map(
    ids.filter((id) => isId('message', id)).map((id) => [id, deliveryId(id, endpoint)]),
  );
  const known = await selectKnown(pool, tenant, [...deliveries.values()]);
  return ids.filter((id) => !known.has(deliveries.get(id) ?? ''));
}
