import {
  deliveriesOf,
  type GetById,
  type HistoryAttempt,
  type HistoryPage,
  type ListAccountAttemptsRequest,
  type PageRequest,
} from '@posthaste/contracts';
import type pg from 'pg';
import { labelsOfMessage } from './labels.js';
import { ListQuery } from './list-page.js';
import { isRefusal } from './select-deliveries.js';

interface AttemptColumns {
  id: string;
  delivery: string;
  number: number;
  trigger: string;
  started_at: number;
  duration_ms: number;
  outcome: string;
  error_class: string | null;
  error_message: string | null;
  request_url: string;
  request_headers: string;
  response_status: number | null;
  response_headers: string | null;
  response_body: Buffer | null;
  response_truncated: boolean | null;
  address: string | null;
  timings: string;
  tls: string | null;
  endpoint_version: number;
  profile: string;
  next_attempt_at: number | null;
  shadow: string | null;
  requested: { at: number; by: string; replay: string | null } | null;
  endpoint: string | null;
}

const COLUMNS = `id, delivery, number, trigger, started_at, duration_ms, outcome, error_class, error_message, request_url,
  request_headers, response_status, response_headers, response_body, response_truncated, address, timings, tls,
  endpoint_version, profile, next_attempt_at, endpoint,
  (select event from history.shadow_attempt as copy
   where copy.delivery = attempt.delivery and copy.number = attempt.number) as shadow,
  (select json_build_object('at', requested_at, 'by', requested_by, 'replay', replay)
   from history.requested_attempt as asked
   where asked.delivery = attempt.delivery and asked.number = attempt.number) as requested`;
const LIST = { table: 'attempt', columns: COLUMNS, at: 'started_at' };

/** Looked for among the attempts of deliveries that begin like it: the primary key finds those. */
export async function getAttempt(
  pool: pg.Pool,
  { tenant, id }: GetById,
): Promise<HistoryAttempt | undefined> {
  const { rows } = await pool.query<AttemptColumns>({
    name: 'get-attempt',
    text: `select ${COLUMNS} from history.attempt where delivery >= $3 and delivery < $4 and id = $1 and tenant = $2`,
    values: [id, tenant, ...deliveriesOf(id)],
  });
  return rows.map(toAttempt)[0];
}

export async function listAttempts(
  pool: pg.Pool,
  request: { tenant: string; delivery: string; page?: PageRequest | undefined },
): Promise<HistoryPage<HistoryAttempt>> {
  const query = new ListQuery(request.tenant).of('delivery', request.delivery);
  return query.read(pool, LIST, request.page, toAttempt);
}

const ITS_MESSAGE = `history.delivery d join history.message m on m.id = d.message where d.id = attempt.delivery`;

/** Of all deliveries of an account. One that was made again after a crash may move up while it is listed. */
export async function listAccountAttempts(
  pool: pg.Pool,
  request: ListAccountAttemptsRequest,
): Promise<HistoryPage<HistoryAttempt>> {
  const { outcome, error_class, status_code, id_prefix } = request;
  const [around] = id_prefix === undefined ? [] : deliveriesOf(id_prefix);
  const query = new ListQuery(request.tenant)
    .of('account', request.account)
    .where('endpoint = ?', request.endpoint)
    .where('started_at >= ?', request.since)
    .where('started_at < ?', request.until)
    .within('attempt', 'delivery', around)
    .where('starts_with(id, ?)', id_prefix)
    .search('error_class = ?', error_class)
    .search('response_status = ?', status_code)
    .dearSearch(
      '(select event_type from history.delivery d where d.id = attempt.delivery) = ?',
      request.event_type,
    );
  if (outcome === 'succeeded') query.search('outcome = ?', outcome);
  // Its indexes hold nothing else.
  const isFailed = outcome === 'failed' || error_class !== undefined || isRefusal(status_code);
  if (isFailed) query.where(`outcome = 'failed'`);
  labelsOfMessage(query, request, ITS_MESSAGE);
  return query.read(pool, LIST, request.page, toAttempt);
}

function toAttempt(row: AttemptColumns): HistoryAttempt {
  return {
    id: row.id,
    delivery: row.delivery,
    number: row.number,
    trigger: row.trigger,
    started_at: row.started_at,
    duration_ms: row.duration_ms,
    outcome: row.outcome,
    error_class: row.error_class ?? undefined,
    error_message: row.error_message ?? undefined,
    request_url: row.request_url,
    request_headers_json: row.request_headers,
    response_status: row.response_status ?? undefined,
    response_headers_json: row.response_headers ?? undefined,
    response_body: row.response_body ?? undefined,
    response_body_truncated: row.response_truncated ?? undefined,
    address: row.address ?? undefined,
    timings_json: row.timings,
    tls_json: row.tls ?? undefined,
    endpoint_version: row.endpoint_version,
    profile: row.profile,
    next_attempt_at: row.next_attempt_at ?? undefined,
    shadow_json: row.shadow ?? undefined,
    requested_at: row.requested?.at,
    requested_by: row.requested?.by,
    replay: row.requested?.replay ?? undefined,
    endpoint: row.endpoint ?? undefined,
  };
}
