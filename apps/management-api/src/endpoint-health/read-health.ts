import type { EndpointHealth } from '@posthaste/contracts';
import type { DataSource } from 'typeorm';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';
import { instant } from './endpoint-health.js';

/** bigint: TypeORM's connections leave it as text. */
interface Row {
  failing_since: string | null;
  last_success_at: string | null;
  last_failure_at: string | null;
}

/** How an endpoint has been answering, as people see it: failures from before it was switched on again are over. */
export async function readHealth(
  database: DataSource,
  { id, healthSince }: Pick<EndpointRow, 'id' | 'healthSince'>,
): Promise<EndpointHealth> {
  const [row] = await database.query<Row[]>(
    'select failing_since, last_success_at, last_failure_at from health.endpoint where endpoint = $1',
    [id],
  );
  const shown = (ms: string | null | undefined): string | null => (ms ? instant(Number(ms)) : null);
  const isOver = Number(row?.failing_since) < (healthSince?.getTime() ?? 0);
  return {
    failing_since: isOver ? null : shown(row?.failing_since),
    last_success_at: shown(row?.last_success_at),
    last_failure_at: shown(row?.last_failure_at),
  };
}
