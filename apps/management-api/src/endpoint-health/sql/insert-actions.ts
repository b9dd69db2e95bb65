import type pg from 'pg';
import type { Consequence } from '../endpoint-health.js';

/** Something to be done, with the endpoint it is about. */
export type Action = Consequence & { tenant: string; account: string; endpoint: string };

/** What both the projection's connection and a change's manager can do. */
type Execute = (text: string, values: unknown[]) => Promise<unknown>;

/** Asks for actions; a cause that has asked before changes nothing. */
export async function insertActions(execute: Execute, actions: readonly Action[]): Promise<void> {
  await execute(
    `insert into health.action (cause, kind, tenant, account, endpoint, at, detail)
     select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::jsonb[])
     on conflict (cause) do nothing`,
    [
      actions.map(({ cause }) => cause),
      actions.map(({ kind }) => kind),
      actions.map(({ tenant }) => tenant),
      actions.map(({ account }) => account),
      actions.map(({ endpoint }) => endpoint),
      actions.map(({ at }) => at),
      actions.map(({ detail }) => JSON.stringify(detail)),
    ],
  );
}

/** The same on a connection of the pool. */
export function insertActionsOn(client: pg.PoolClient, actions: readonly Action[]): Promise<void> {
  return insertActions((text, values) => client.query(text, values), actions);
}
