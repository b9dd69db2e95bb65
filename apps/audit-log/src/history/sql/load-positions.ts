import type pg from 'pg';

/** The positions of messages, as far as they are known. */
export async function loadPositions(pool: pg.Pool, messages: string[]): Promise<Map<string, string>> {
  const { rows } = await pool.query<{ id: string; position: string }>({
    name: 'load-positions',
    text: 'select id, position from history.message where id = any($1::text[]) and position is not null',
    values: [messages],
  });
  return new Map(rows.map(({ id, position }) => [id, position]));
}
