import type { PageQuery } from '@posthaste/contracts';
import type { EntityManager, EntityTarget, FindOptionsWhere } from 'typeorm';
import { type Cursors, type ListOf, type Page, pageOf, withinLimit } from './cursors.js';

interface Listed {
  id: string;
  createdAt: Date;
}

/** One kind of configuration list: whose rows, which of them, and how they are shown. */
export interface Listing<R extends Listed, T> {
  rows: EntityTarget<R>;
  list: ListOf;
  where: FindOptionsWhere<R>;
  view: (row: R) => T;
}

/** One page of a configuration list, newest first, by keyset: rows that arrive meanwhile shift nothing. */
export async function listPage<R extends Listed, T>(
  cursors: Cursors,
  manager: EntityManager,
  { rows: target, list, where, view }: Listing<R, T>,
  { limit, cursor }: PageQuery,
): Promise<Page<T>> {
  const query = manager.createQueryBuilder(target, 'e').where(where);
  if (cursor !== undefined) {
    const { atMs, id } = cursors.open(list, cursor);
    query.andWhere('(e.createdAt, e.id) < (:at, :id)', { at: new Date(atMs), id });
  }
  const found = await query
    .orderBy('e.createdAt', 'DESC')
    .addOrderBy('e.id', 'DESC')
    .limit(limit + 1)
    .getMany();
  return pageOf(
    cursors,
    list,
    withinLimit(found, limit),
    ({ createdAt, id }) => ({ atMs: createdAt.getTime(), id }),
    view,
  );
}
