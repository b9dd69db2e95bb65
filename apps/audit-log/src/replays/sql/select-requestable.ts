import {
  deliveryId,
  type ReplayFilter,
  type ReplayKind,
  type ReplayNames,
  type Trigger,
} from '@posthaste/contracts';
import { inTransaction } from '@posthaste/runtime';
import type pg from 'pg';

/** What a replay is about. */
export interface Scope {
  kind: ReplayKind;
  tenant: string;
  account: string;
  /** Null: any of `names.endpoints`. */
  endpoint: string | null;
  toEndpoint: string | null;
  since: number;
  until: number;
  filter: ReplayFilter;
  names: ReplayNames;
}

/** A delivery whose next attempt is requested: what its event needs beside the replay's own facts. */
export interface Requestable {
  id: string;
  message: string;
  endpoint: string;
  eventType: string;
  acceptedAt: number;
  /** The number of the attempt that is requested. */
  attempt: number;
  trigger: Trigger;
  /** What the next page comes after, together with `acceptedAt`. */
  cursor: string;
}

/** Who asks gives up after five seconds; a replay must not begin after that, which nobody would know of. */
const COUNT_MS = 4_000;

/**
 * What an endpoint lacks for its own fault: given up after its attempts, or cancelled because it was disabled or said it
 * was gone. Not what a person cancelled, nor what the receiver asked not to be sent again.
 */
const LACKING = `(s.status = 'exhausted' or s.status = 'cancelled' and s.reason in ('endpoint_disabled', 'endpoint_gone'))`;

/** A delivery that was made is asked for as a resend: a recover is dropped once its delivery has succeeded. */
const OF_DELIVERIES = `s.id, s.message, s.endpoint, s.attempts + 1 as attempt,
  case when s.status = 'delivered' then 'resend' else 'recover' end as trigger`;

/** Of a message the endpoint never had, the first attempt. The delivery's id follows from both. */
const FIRST_OF = {
  copy: `s.message, 1 as attempt, 'backfill' as trigger`,
  backfill: `s.id as message, 1 as attempt, 'backfill' as trigger`,
};

/** The next ones after this, in the order their messages were accepted. */
export async function selectRequestable(
  client: pg.Pool | pg.PoolClient,
  scope: Scope,
  after: { at: number; id: string },
  limit: number,
): Promise<Requestable[]> {
  const query = wanted(scope);
  query.where('(s.accepted_at, s.id) > (?, ?)', after.at, after.id);
  const { kind, endpoint, toEndpoint } = scope;
  const columns = kind === 'copy' || kind === 'backfill' ? FIRST_OF[kind] : OF_DELIVERIES;
  const { rows } = await client.query<Requestable>(
    `select ${columns}, s.event_type as "eventType", s.accepted_at as "acceptedAt", s.id as cursor
     from ${query.toSql()} order by s.accepted_at, s.id limit ${limit}`,
    query.values,
  );
  if (columns === OF_DELIVERIES) return rows;
  const to = toEndpoint ?? endpoint ?? '';
  return rows.map((row) => ({ ...row, endpoint: to, id: deliveryId(row.message, to) }));
}

/** Fails like a database that is away when it takes too long. */
export async function countRequestable(pool: pg.Pool, scope: Scope): Promise<number> {
  const query = wanted(scope);
  return inTransaction(pool, async (client) => {
    await client.query(`set local statement_timeout = ${COUNT_MS}`);
    const { rows } = await client.query<{ n: number }>(
      `select count(*)::int as n from ${query.toSql()}`,
      query.values,
    );
    return rows[0]?.n ?? 0;
  });
}

function wanted(scope: Scope): SourceQuery {
  const query = new SourceQuery(scope.kind === 'backfill' ? 'history.message' : 'history.delivery')
    .where('s.account = ?', scope.account)
    .where('s.tenant = ?', scope.tenant)
    .where('s.accepted_at >= ?', scope.since)
    .where('s.accepted_at < ?', scope.until);
  if (scope.filter.event_types.length > 0) query.where('s.event_type = any(?)', scope.filter.event_types);
  if (scope.kind === 'backfill') return ofMessages(query, scope);
  return ofDeliveries(query, scope);
}

/** As routing has it (`matches` in libs/delivery): of an endpoint with channels, messages that share one of them. */
function ofMessages(query: SourceQuery, { endpoint, filter: { channels } }: Scope): SourceQuery {
  if (channels.length > 0) query.where('s.meta ~ ?', metaWithOneOf(channels));
  query.where('s.shredded_at is null');
  return query.where(`not exists (${DELIVERY_OF('s.id')})`, endpoint);
}

/**
 * Matches the meta, as it was written, of a message with one of these channels. Not read as JSON: that takes longer, and
 * PostgreSQL refuses what other fields may hold (half a surrogate pair). Within a text the quotes around the name would
 * be escaped, so nothing else looks like it.
 */
function metaWithOneOf(channels: string[]): string {
  const written = channels.map((channel) => JSON.stringify(channel).replaceAll(/[!-/:-@[-`{-~]/g, '\\$&'));
  return String.raw`"channels":\[("([^"\\]|\\.)*",)*(${written.join('|')})[],]`;
}

function ofDeliveries(query: SourceQuery, { endpoint, toEndpoint, filter, names }: Scope): SourceQuery {
  query.where(`not exists (${SHREDDED_OF('s.message')})`);
  if (endpoint === null) query.where('s.endpoint = any(?)', names.endpoints);
  else query.where('s.endpoint = ?', endpoint);
  if (filter.statuses.length > 0) query.where('s.status = any(?)', filter.statuses);
  else query.where(LACKING);
  if (filter.error_class !== undefined) query.where('s.last_error_class = ?', filter.error_class);
  if (filter.status_code !== undefined) query.where('s.last_status_code = ?', filter.status_code);
  if (names.deliveries.length > 0) query.where('s.id = any(?)', names.deliveries);
  if (names.messages.length > 0) {
    // A message and its deliveries share the instant of acceptance, which the account's index finds at once.
    query
      .where('s.accepted_at = any(select accepted_at from history.message where id = any(?))', names.messages)
      .where('s.message = any(?)', names.messages);
  }
  if (toEndpoint !== null) query.where(`not exists (${DELIVERY_OF('s.message')})`, toEndpoint);
  return query;
}

/** By the account's index, as above. */
const DELIVERY_OF = (message: string): string =>
  `select from history.delivery k where k.account = s.account and k.accepted_at = s.accepted_at
   and k.message = ${message} and k.endpoint = ?`;

/** What was shredded cannot be sent. */
const SHREDDED_OF = (message: string): string =>
  `select from history.message m where m.id = ${message} and m.shredded_at is not null`;

/** Conditions on the rows `s` of a table, and the values in them. */
class SourceQuery {
  private readonly conditions: string[] = [];
  readonly values: unknown[] = [];

  constructor(private readonly table: string) {}

  /** @param condition SQL with a `?` for each value */
  where(condition: string, ...values: unknown[]): this {
    let next = 0;
    this.conditions.push(condition.replaceAll('?', () => `$${this.values.push(values[next++])}`));
    return this;
  }

  toSql(): string {
    return `${this.table} s where ${this.conditions.join(' and ')}`;
  }
}
