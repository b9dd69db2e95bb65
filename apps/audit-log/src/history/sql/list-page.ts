import type { PageRequest } from '@posthaste/contracts';

/**
 * Builds the WHERE clause of a list: conditions that are asked for, and nothing for the rest, so that every
 * combination gets a plan of its own.
 */
export class ListQuery {
  private readonly conditions = ['tenant = $1'];
  readonly values: unknown[];

  /** An absent tenant is one that owns nothing, never every tenant. */
  constructor(tenant: string | undefined) {
    this.values = [tenant ?? ''];
  }

  /** For what a list is of: absent, it is a list of nothing. */
  of(column: string, value: string | undefined): this {
    return this.where(`${column} = ?`, value ?? '');
  }

  /** @param condition SQL with `?` for the value. Left out when the value is absent. */
  where(condition: string, value: string | number | undefined): this {
    if (value === undefined) return this;
    this.conditions.push(condition.replace('?', this.bind(value)));
    return this;
  }

  /** Rows strictly after the page's (at, id), newest first, and one more than asked for, to know whether more follow. */
  page(at: string, page: PageRequest | undefined): this {
    if (page?.after_at === undefined) return this;
    const after = `(${this.bind(page.after_at)}, ${this.bind(page.after_id ?? '')})`;
    this.conditions.push(`(${at}, id) < ${after}`);
    return this;
  }

  toSql(at: string, limit: number): string {
    return `where ${this.conditions.join(' and ')} order by ${at} desc, id desc limit ${limit + 1}`;
  }

  private bind(value: unknown): string {
    return `$${this.values.push(value)}`;
  }
}

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000;

export function limitOf(page: PageRequest | undefined): number {
  const asked = page?.limit ?? 0;
  return asked > 0 ? Math.min(asked, MAX_LIMIT) : DEFAULT_LIMIT;
}

/** The page of at most `limit` out of the `limit + 1` rows that were read. */
export function toPage<R, T>(
  rows: R[],
  limit: number,
  convert: (row: R) => T,
): { data: T[]; has_more: boolean } {
  return { data: rows.slice(0, limit).map(convert), has_more: rows.length > limit };
}
