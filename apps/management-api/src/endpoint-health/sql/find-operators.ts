import type pg from 'pg';

/** An account that is told about another. */
export interface Telling {
  subject: string;
  operator: string;
}

/**
 * Who is told about these accounts: their tenant's operator accounts. Nobody is told about an operator account: what is
 * sent there may fail as well, and would tell of itself without end.
 */
export async function findOperators(client: pg.PoolClient, subjects: string[]): Promise<Telling[]> {
  const { rows } = await client.query<Telling>(
    `select s.id as subject, o.id as operator
       from config.account s
       join config.account o on o.tenant = s.tenant and o.receives_operator_events and o.deleted_at is null
      where s.id = any($1::text[]) and not s.receives_operator_events
      order by o.id`,
    [subjects],
  );
  return rows;
}
