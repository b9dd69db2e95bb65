import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { PageQuery, PageRequest } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';

/**
 * Where a list stopped, in a form only we can make. The cursor carries the last row's sort key; its MAC also covers the
 * tenant, the route and the filters, so that an altered, foreign or otherwise filtered cursor is refused, not obeyed.
 */
export interface ListOf {
  /** The tenant whose list it is; `operator` for lists of tenants. */
  tenant: string;
  /** The list's name, such as `endpoints`, with what it hangs under. */
  route: string;
  /** Everything that chooses rows, but not `limit` or `cursor`. */
  filter?: Record<string, unknown>;
}

/** Rows are listed newest first; the id tells rows of one millisecond apart. */
export interface SortKey {
  atMs: number;
  id: string;
}

const MAC_BYTES = 16;

export class Cursors {
  private readonly key: Buffer;

  constructor(secret: string) {
    this.key = createHmac('sha256', secret).update('posthaste cursor v1').digest();
  }

  seal(list: ListOf, { atMs, id }: SortKey): string {
    const position = Buffer.from(JSON.stringify([atMs, id]));
    return Buffer.concat([this.mac(list, position), position]).toString('base64url');
  }

  /** Throws `invalid_cursor` for anything `seal` did not make for this very list. */
  open(list: ListOf, cursor: string): SortKey {
    const bytes = Buffer.from(cursor, 'base64url');
    const [mac, position] = [bytes.subarray(0, MAC_BYTES), bytes.subarray(MAC_BYTES)];
    // Decoding skips what is no base64url; what was skipped was not ours.
    const ours = bytes.toString('base64url') === cursor && mac.length === MAC_BYTES;
    if (!ours || !timingSafeEqual(mac, this.mac(list, position))) {
      throw new Problem('invalid_cursor', 'The cursor was altered or belongs to another list or filter.', [
        { pointer: '?cursor', code: 'invalid_cursor', message: 'start again without a cursor' },
      ]);
    }
    const [atMs, id] = JSON.parse(position.toString()) as [number, string];
    return { atMs, id };
  }

  private mac({ tenant, route, filter = {} }: ListOf, position: Buffer): Buffer {
    const filters = Object.entries(filter)
      .filter(([, value]) => value !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const filterHash = createHash('sha256').update(JSON.stringify(filters)).digest('hex');
    return createHmac('sha256', this.key)
      .update(JSON.stringify([tenant, route, filterHash]))
      .update(position)
      .digest()
      .subarray(0, MAC_BYTES);
  }
}

export interface Page<T> {
  data: T[];
  next_cursor: string | null;
  has_more: boolean;
}

/** A page in the making: the rows to show, and whether more follow. */
export interface Found<R> {
  rows: R[];
  hasMore: boolean;
  /** Where the next page begins, when that is not the last row: a search stopped before the page was full. */
  reached?: SortKey | undefined;
}

/** Of `limit + 1` rows that were read: the row beyond the page only says that there are more. */
export function withinLimit<R>(rows: R[], limit: number): Found<R> {
  return { rows: rows.slice(0, limit), hasMore: rows.length > limit };
}

/** The page as audit-log is asked for it. */
export function pageRequest(cursors: Cursors, list: ListOf, { limit, cursor }: PageQuery): PageRequest {
  if (cursor === undefined) return { limit };
  const { atMs, id } = cursors.open(list, cursor);
  return { limit, after_at: atMs, after_id: id };
}

/** The envelope of a list. */
export function pageOf<R, T>(
  cursors: Cursors,
  list: ListOf,
  { rows, hasMore, reached }: Found<R>,
  sortKey: (row: R) => SortKey,
  view: (row: R) => T,
): Page<T> {
  const last = rows.at(-1);
  const next = reached ?? (last && sortKey(last));
  return {
    data: rows.map(view),
    next_cursor: hasMore && next !== undefined ? cursors.seal(list, next) : null,
    has_more: hasMore,
  };
}
