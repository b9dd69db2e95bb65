import { deliveryId, ROUTES_PER_RECORD, type RoutesReply, type RoutesRequest } from '@posthaste/contracts';
import type pg from 'pg';
import { getDeliveries } from './select-deliveries.js';
import { readMeta } from './select-messages.js';

/** What was decided when the message was accepted, and what became of it, for these endpoints. */
export async function getRoutes(
  pool: pg.Pool,
  { tenant, message, endpoints }: RoutesRequest,
): Promise<RoutesReply> {
  const { rows } = await pool.query<{ meta: string }>({
    name: 'get-routes',
    text: 'select meta from history.message where id = $1 and tenant = $2',
    values: [message, tenant],
  });
  const [row] = rows;
  if (!row) return { routes: [], deliveries: [], partial: false };
  const { routes } = readMeta(row.meta);
  const asked = new Set(endpoints);
  const ids = endpoints.map((endpoint) => deliveryId(message, endpoint));
  return {
    routes: routes.filter(({ endpoint }) => asked.has(endpoint)),
    deliveries: await getDeliveries(pool, tenant, ids),
    partial: routes.length >= ROUTES_PER_RECORD,
  };
}
