import type { HistoryPage, PageRequest } from '@posthaste/contracts';
import type pg from 'pg';

/**
 * A list of the history, newest first, a page at a time by the key of its last row: (at, id), which a row keeps. So a page
 * is right while rows arrive: what was there when the list began comes once, and what is newer does not come.
 *
 * Conditions are of two kinds. `where` is what an index finds in the list's order. `search` is asked of every row on the
 * way, of at most `LOOK_ROWS` a page, so that no page takes long, however rare what is looked for: it may then end before
 * it is full, and says where it stopped. That place is found in the statement that read the page, so that no row can
 * arrive or go between the two.
 */
export class ListQuery {
  private readonly conditions = ['tenant = $1'];
  private readonly searches: string[] = [];
  private source: string | undefined;
  private lookRows = LOOK_ROWS;
  readonly values: unknown[];

  /** An absent tenant is one that owns nothing, never every tenant. */
  constructor(tenant: string | undefined) {
    this.values = [tenant ?? ''];
  }

  /** For what a list is of: absent, it is a list of nothing. */
  of(column: string, value: string | undefined): this {
    return this.where(`${column} = ?`, value ?? '');
  }

  /** @param condition SQL with `?` for each value. Left out when a value is absent. */
  where(condition: string, ...values: Value[]): this {
    return this.add(this.conditions, condition, values);
  }

  search(condition: string, ...values: Value[]): this {
    return this.add(this.searches, condition, values);
  }

  /** A search that reads other rows for each one. */
  dearSearch(condition: string, ...values: Value[]): this {
    if (!values.includes(undefined)) this.lookRows = DEAR_LOOK_ROWS;
    return this.search(condition, ...values);
  }

  /**
   * Only rows whose key begins so: few, as keys begin with their time. They are all read by their key and then sorted;
   * `offset 0` keeps the planner from walking the list's own index for them instead.
   */
  within(table: string, key: string, prefix: string | undefined): this {
    if (prefix === undefined) return this;
    // Above all of base62.
    const [from, before] = [this.bind(prefix), this.bind(`${prefix}~`)];
    this.source = `(select * from history.${table} where ${key} >= ${from} and ${key} < ${before} offset 0) as ${table}`;
    return this;
  }

  async read<R extends object, T>(
    pool: pg.Pool,
    { table, columns, at }: List,
    request: PageRequest | undefined,
    convert: (row: R) => T,
  ): Promise<HistoryPage<T>> {
    if (request?.after_at !== undefined) {
      this.where(`(${at}, id) < (?, ?)`, request.after_at, request.after_id ?? '');
    }
    const limit = limitOf(request);
    const from = this.source ?? `history.${table}`;
    const base = `from ${from} where ${this.conditions.join(' and ')}`;
    const order = `order by ${at} desc, id desc`;
    if (this.searches.length === 0) {
      const text = `select ${columns} ${base} ${order} limit ${limit + 1}`;
      const { rows } = await pool.query<R>(text, this.values);
      return toPage(rows, limit, convert);
    }
    const { rows } = await pool.query<R & Reached>(
      `with page as materialized (
         select * from (select * ${base} ${order} limit ${this.lookRows}) as ${table}
         where ${this.searches.join(' and ')} ${order} limit ${limit + 1}
       ), reached as (
         select ${at} as reached_at, id as reached_id ${base} and (select count(*) from page) <= ${limit}
         ${order} offset ${this.lookRows - 1} limit 1
       )
       ${foundOrReached(table, columns, at)}`,
      this.values,
    );
    return toSearchedPage(rows, limit, convert);
  }

  /**
   * A page that goes on where another stopped, among rows that an index of the search names instead of all.
   *
   * @param named SQL of two tables: `bound (at, id)`, down to where the index knows all rows that may match, and
   *   `candidate (candidate_at, candidate_id)`, the first `LOOKED_AT` of them behind where the other stopped and down to there
   * @returns what was found, and when it is no full page where it stopped; nothing is left when it does not say so
   */
  async readAmong<R extends object, T>(
    pool: pg.Pool,
    { table, columns, at }: List,
    { limit, named }: { limit: number; named: (bind: Bind) => string },
    convert: (row: R) => T,
  ): Promise<HistoryPage<T>> {
    const { rows } = await pool.query<R & Reached>(
      `with ${named((value) => this.bind(value))}, page as materialized (
         select ${table}.* from candidate join history.${table} on id = candidate_id
         where ${[...this.conditions, ...this.searches].join(' and ')}
         order by candidate_at desc, candidate_id desc limit ${limit + 1}
       ), reached as (
         select candidate_at as reached_at, candidate_id as reached_id
         from (select * from candidate order by 1 desc, 2 desc offset ${LOOKED_AT - 1} limit 1) as last
         where (select count(*) from page) <= ${limit}
         union all
         select bound.at, bound.id from bound
         where (select count(*) from page) <= ${limit} and (select count(*) from candidate) < ${LOOKED_AT}
           -- Not exists: that would read the whole table when there is none, as it expects to find one soon.
           and (select id from history.${table}
             where (${at}, id) < ((select bound.at from bound), (select bound.id from bound))
               and ${this.conditions.join(' and ')} order by ${at} desc, id desc limit 1) is not null
       )
       ${foundOrReached(table, columns, at)}`,
      this.values,
    );
    return toSearchedPage(rows, limit, convert);
  }

  private add(to: string[], condition: string, values: Value[]): this {
    if (values.includes(undefined)) return this;
    const bound = values.map((value) => this.bind(value));
    to.push(condition.replaceAll('?', () => bound.shift() ?? ''));
    return this;
  }

  private bind(value: unknown): string {
    return `$${this.values.push(value)}`;
  }
}

export type Bind = (value: unknown) => string;
type Value = string | number | string[] | undefined;

/** What is listed: a table of the history, which the columns name so; and the time it is sorted by. */
export interface List {
  table: string;
  columns: string;
  at: string;
}

/** Where a page stopped that ended before it was full. */
export interface Place {
  reached_at: number;
  reached_id: string;
}
type Reached = Place | { reached_at: null; reached_id: null };

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000;
/** How many rows a page looks at: some 10 ms of a processor (docs/history-figures.md). */
const LOOK_ROWS = 3_000;
const DEAR_LOOK_ROWS = 500;
/** Of rows an index names as many as of others: each is read. */
export const LOOKED_AT = DEAR_LOOK_ROWS;

export function limitOf(page: PageRequest | undefined): number {
  const asked = page?.limit ?? 0;
  return asked > 0 ? Math.min(asked, MAX_LIMIT) : DEFAULT_LIMIT;
}

/** The page of at most `limit` out of the `limit + 1` rows that were read. */
export function toPage<R, T>(rows: R[], limit: number, convert: (row: R) => T): HistoryPage<T> {
  return { data: rows.slice(0, limit).map(convert), has_more: rows.length > limit };
}

/** The rows of a page, or where it stopped, or both: in one statement, so that no row can arrive or go between. */
function foundOrReached(table: string, columns: string, at: string): string {
  return `select reached.*, found.* from reached full join (
      select ${columns}, ${table}.${at} as list_at, ${table}.id as list_id from page as ${table}
    ) as found on false
    order by list_at desc nulls last, list_id desc`;
}

function toSearchedPage<R extends object, T>(
  rows: (R & Reached)[],
  limit: number,
  convert: (row: R) => T,
): HistoryPage<T> {
  const stopped = rows.find((row): row is R & Place => row.reached_at !== null);
  if (stopped === undefined) return toPage(rows, limit, convert);
  const { reached_at, reached_id } = stopped;
  return { data: rows.filter((row) => row !== stopped).map(convert), has_more: true, reached_at, reached_id };
}
