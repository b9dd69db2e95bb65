import type {
  DueDeliveryPayload,
  GetById,
  HistoryDelivery,
  HistoryPage,
  ListDeliveriesRequest,
} from '@posthaste/contracts';
import type pg from 'pg';
import { labelsOfMessage } from './labels.js';
import { ListQuery } from './list-page.js';

type DeliveryColumns = {
  [Column in keyof HistoryDelivery]-?: Exclude<HistoryDelivery[Column], undefined> | null;
} & Pick<HistoryDelivery, 'id' | 'message' | 'tenant' | 'account' | 'endpoint' | 'event_type' | 'status'> & {
    attempts: number;
    accepted_at: number;
  };

const COLUMNS = `id, message, tenant, account, endpoint, event_type, status, attempts, accepted_at, next_attempt_at,
  settled_at, last_status_code, last_error_class, reason`;
const LIST = { table: 'delivery', columns: COLUMNS, at: 'accepted_at' };

export async function getDelivery(
  pool: pg.Pool,
  { tenant, id }: GetById,
): Promise<HistoryDelivery | undefined> {
  const { rows } = await pool.query<DeliveryColumns>({
    name: 'get-delivery',
    text: `select ${COLUMNS} from history.delivery where id = $1 and tenant = $2`,
    values: [id, tenant],
  });
  return rows.map(toDelivery)[0];
}

export async function listDeliveries(
  pool: pg.Pool,
  request: ListDeliveriesRequest,
): Promise<HistoryPage<HistoryDelivery>> {
  const { status, error_class, status_code } = request;
  const query = new ListQuery(request.tenant)
    .of('account', request.account)
    .where('endpoint = ?', request.endpoint)
    .where('message = ?', request.message)
    // A message and its deliveries share the instant of acceptance, which the account's index finds at once.
    .where('accepted_at = (select accepted_at from history.message where id = ?)', request.message)
    .where('accepted_at >= ?', request.since)
    .where('accepted_at < ?', request.until)
    .within('delivery', 'id', request.id_prefix)
    .search('status = ?', status)
    .search('event_type = ?', request.event_type)
    .search('last_error_class = ?', error_class)
    .search('last_status_code = ?', status_code);
  if (isTrouble(status) || error_class !== undefined || isRefusal(status_code)) query.where('troubled');
  labelsOfMessage(query, request, 'history.message m where m.id = delivery.message');
  return query.read(pool, LIST, request.page, toDelivery);
}

function isTrouble(status: string | undefined): boolean {
  return status !== undefined && status !== 'pending' && status !== 'delivered';
}

/** No profile takes another status for an acknowledgement. */
export function isRefusal(statusCode: number | undefined): boolean {
  return statusCode !== undefined && (statusCode < 200 || statusCode > 299);
}

/** Those of the tenant among them; in no order. */
export async function getDeliveries(
  pool: pg.Pool,
  tenant: string,
  ids: string[],
): Promise<HistoryDelivery[]> {
  const { rows } = await pool.query<DeliveryColumns>({
    name: 'get-deliveries',
    text: `select ${COLUMNS} from history.delivery where id = any($1::text[]) and tenant = $2`,
    values: [ids, tenant],
  });
  return rows.map(toDelivery);
}

/** For the scheduler, which works for every tenant. Deliveries whose message is not known (yet) are left out. */
export async function getDueDeliveries(pool: pg.Pool, ids: string[]): Promise<DueDeliveryPayload[]> {
  const { rows } = await pool.query<DueDeliveryPayload>({
    name: 'get-due-deliveries',
    // Of a payload that was shredded nothing is owed any more: every attempt there could be is over.
    text: `select d.id, d.status, case when m.shredded_at is null then d.attempts else 2147483647 end as attempts,
             m.meta as message_meta_json, m.payload,
             coalesce(d.position, m.position) as position
           from history.delivery d join history.message m on m.id = d.message
           where d.id = any($1::text[])`,
    values: [ids],
  });
  return rows;
}

function toDelivery(row: DeliveryColumns): HistoryDelivery {
  return {
    ...row,
    next_attempt_at: row.next_attempt_at ?? undefined,
    settled_at: row.settled_at ?? undefined,
    last_status_code: row.last_status_code ?? undefined,
    last_error_class: row.last_error_class ?? undefined,
    reason: row.reason ?? undefined,
  };
}
