import type { Position } from '@posthaste/event-log';
import type { TableComparison } from '@posthaste/rebuild';
import type pg from 'pg';
import { UNANSWERED_MS } from '../ordering/recall-released.js';
import { letFirstGo, type OwedKeyRef } from '../ordering/sql/let-first-go.js';
import { NOW_MS } from '../release/sql/claim-due.js';
import { hastenDue } from '../release/sql/hasten-due.js';
import { besideDue } from './beside-due.js';
import { type Forgotten, forgottenAccounts } from './forgotten.js';

/** A due time this close may have come by the clock of whoever released it. */
const CLOCKS_MS = 60_000;

/**
 * Takes over into the next index what is known of the live one only: see rebuild-due.ts. Both stand at the same
 * positions, and nobody releases.
 *
 * @param live the positions of both; the next index is moved there where the log holds nothing it could read
 * @param run the rebuild's id
 * @param gone endpoints that are disabled or deleted
 */
export async function takeOver(
  client: pg.ClientBase,
  live: Position[],
  { run, gone }: { run: string; gone: string[] },
): Promise<TableComparison> {
  const next = besideDue.client(client);
  await movePositions(client, live);
  await keepForgotten(client, next, await forgottenAccounts(client, run, live.length));
  await keepMarks(client);
  if (gone.length > 0) await hastenDue(next, gone);
  await waitForAnswers(client);
  return compare(client);
}

async function movePositions(client: pg.ClientBase, live: Position[]): Promise<void> {
  await client.query(
    `insert into schedule_next.position as p (topic, partition, next)
     select * from unnest($1::text[], $2::int[], $3::bigint[])
     on conflict (topic, partition) do update set next = excluded.next where p.next < excluded.next`,
    [
      live.map(({ topic }) => topic),
      live.map(({ partition }) => partition),
      live.map(({ offset }) => offset),
    ],
  );
}

/** What the log cannot speak of stays as it is live, in every column, and in the order of its key. */
async function keepForgotten(client: pg.ClientBase, next: pg.ClientBase, old: Forgotten[]): Promise<void> {
  if (old.length === 0) return;
  const columns = await columnsOfDue(client);
  const { rows } = await client.query<OwedKeyRef & { key: string | null }>(
    `insert into schedule_next.due (${columns.join(', ')})
     select ${columns.map((column) => `l.${column}`).join(', ')} from schedule.due l
     join unnest($1::text[], $2::text[]) as f (account, below) on l.account = f.account and l.message < f.below
     on conflict (delivery) do update set ${columns.map((column) => `${column} = excluded.${column}`).join(', ')}
     returning partition, endpoint, ordering_key as key`,
    [old.map(({ account }) => account), old.map(({ below }) => below)],
  );
  const keys = new Map(
    rows.filter(({ key }) => key !== null).map((ref) => [`${ref.partition} ${ref.endpoint} ${ref.key}`, ref]),
  );
  if (keys.size === 0) return;
  const refs = [...keys.values()];
  await client.query(
    `update schedule_next.due n set key_state = 'behind'
     from unnest($1::int[], $2::text[], $3::text[]) as k (partition, endpoint, ordering_key)
     where n.partition = k.partition and n.endpoint = k.endpoint and n.ordering_key = k.ordering_key
       and n.key_state = 'first'`,
    [refs.map((k) => k.partition), refs.map((k) => k.endpoint), refs.map((k) => k.key)],
  );
  await letFirstGo(next, refs);
}

/** Those that are written: one is computed. */
async function columnsOfDue(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select quote_ident(column_name) as name from information_schema.columns
     where table_schema = 'schedule' and table_name = 'due' and is_generated = 'NEVER' order by ordinal_position`,
  );
  return rows.map(({ name }) => name);
}

/** Handed over in the order of a key; and parked for want of room, which only what is due ever is. */
async function keepMarks(client: pg.ClientBase): Promise<void> {
  await client.query(
    `update schedule_next.due n set
       parked = n.parked or l.parked,
       key_state = case when l.key_state = 'released' then 'released' else n.key_state end,
       due_at = case when l.key_state = 'released' then l.due_at else n.due_at end
     from schedule.due l
     where n.delivery = l.delivery and n.attempt = l.attempt and n.key_state is distinct from 'blocking' and (
       (l.key_state = 'released' and n.key_state in ('first', 'behind'))
       or (l.parked and not n.parked and l.key_state is distinct from 'released' and n.due_at <= ${NOW_MS}))`,
  );
}

/** What may have been handed over, for the live index has it no more: its answer is waited for. */
async function waitForAnswers(client: pg.ClientBase): Promise<void> {
  await client.query(
    `update schedule_next.due n set due_at = ${NOW_MS} + $1::bigint, parked = false
     where n.ordering_key is null and (n.parked or n.due_at <= ${NOW_MS} + $2::bigint) and not exists (
       select from schedule.due l where l.delivery = n.delivery and l.attempt = n.attempt)`,
    [UNANSWERED_MS, CLOCKS_MS],
  );
}

/** By ids alone, and in one pass over both: everybody waits, and asked for as rows they would be carried along whole. */
async function compare(client: pg.ClientBase): Promise<TableComparison> {
  const { rows } = await client.query<Omit<TableComparison, 'table'>>(
    `select count(l.delivery)::int as live, count(n.delivery)::int as rebuilt,
       (count(*) filter (where n.delivery is null))::int as missing
     from (select delivery from schedule.due) l
     full join (select delivery from schedule_next.due) n on n.delivery = l.delivery`,
  );
  const [{ live, rebuilt, missing } = { live: 0, rebuilt: 0, missing: 0 }] = rows;
  return { table: 'due', live, rebuilt, missing };
}
