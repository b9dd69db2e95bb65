import type { PageQuery } from '@posthaste/contracts';
import type { EntityManager, EntityTarget, FindOptionsWhere, SelectQueryBuilder } from 'typeorm';
import { type Cursors, type ListOf, type Page, pageOf } from './cursors.js';

interface Listed {
  id: string;
  createdAt: Date;
}

/** One page of a configuration list, newest first, by keyset: rows that arrive meanwhile shift nothing. */
export async function listPage<R extends Listed, T>(
  cursors: Cursors,
  manager: EntityManager,
  target: EntityTarget<R>,
  list: ListOf,
  where: FindOptionsWhere<R>,
  { limit, cursor }: PageQuery,
  view: (row: R) => T,
): Promise<Page<T>> {
  const query: SelectQueryBuilder<R> = manager.createQueryBuilder(target, 'e').where(where);
  if (cursor !== undefined) {
    const { atMs, id } = cursors.open(list, cursor);
    query.andWhere('(e.createdAt, e.id) < (:at, :id)', { at: new Date(atMs), id });
  }
  const rows = await query
    .orderBy('e.createdAt', 'DESC')
    .addOrderBy('e.id', 'DESC')
    .limit(limit + 1)
    .getMany();
  return pageOf(cursors, list, rows, limit, ({ createdAt, id }) => ({ atMs: createdAt.getTime(), id }), view);
}
