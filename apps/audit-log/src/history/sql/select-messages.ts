import {
  type GetById,
  type HistoryMessage,
  type HistoryPage,
  type ListMessagesRequest,
  MessageMeta,
} from '@posthaste/contracts';
import type pg from 'pg';
import { labelsOfMessage } from './labels.js';
import { limitOf, ListQuery } from './list-page.js';
import { namedByKeys } from './name-by-keys.js';

interface MessageColumns {
  meta: string;
  payload_bytes: number;
  shredded_at: number | null;
  deliveries: number;
}

// Counted, not stored: a message with very many routes is several records, and a backfill adds deliveries later.
const COLUMNS = `meta, coalesce(payload_bytes, length(payload)) as payload_bytes, shredded_at,
  (select count(*)::int from history.delivery d
   where d.account = message.account and d.accepted_at = message.accepted_at and d.message = message.id) as deliveries`;
const LIST = { table: 'message', columns: COLUMNS, at: 'accepted_at' };

export async function getMessage(
  pool: pg.Pool,
  { tenant, id }: GetById,
): Promise<HistoryMessage | undefined> {
  const { rows } = await pool.query<MessageColumns>({
    name: 'get-message',
    text: `select ${COLUMNS} from history.message where id = $1 and tenant = $2`,
    values: [id, tenant],
  });
  return rows.map(toMessage)[0];
}

export async function getPayload(
  pool: pg.Pool,
  { tenant, id }: GetById,
): Promise<{ payload: Buffer; content_type: string } | undefined> {
  const { rows } = await pool.query<{ payload: Buffer; meta: string }>({
    name: 'get-payload',
    // Of what is being read from the log again the tombstone knows first.
    text: `select payload, meta from history.message where id = $1 and tenant = $2 and shredded_at is null
             and not exists (select from retention.shredded where message = $1)`,
    values: [id, tenant],
  });
  return rows.map(({ payload, meta }) => ({ payload, content_type: readMeta(meta).contentType }))[0];
}

export async function listMessages(
  pool: pg.Pool,
  request: ListMessagesRequest,
): Promise<HistoryPage<HistoryMessage>> {
  const page = await queryOf(request).read(pool, LIST, request.page, toMessage);
  const { reached_at, reached_id = '' } = page;
  const limit = limitOf(request.page) - page.data.length;
  // What is common is found by looking at some; what is not, by its keys. Ids that begin alike are few.
  if (reached_at === undefined || limit === 0 || request.id_prefix !== undefined) return page;
  const named = namedByKeys(request, { reached_at, reached_id }, Date.now());
  if (named === undefined) return page;
  const rest = await queryOf(request).readAmong(pool, LIST, { limit, named }, toMessage);
  return { ...rest, data: [...page.data, ...rest.data] };
}

function queryOf(request: ListMessagesRequest): ListQuery {
  const { path, value_json } = request.payload ?? {};
  const query = new ListQuery(request.tenant)
    .of('account', request.account)
    .where('accepted_at >= ?', request.since)
    .where('accepted_at < ?', request.until)
    .within('message', 'id', request.id_prefix)
    .search('event_type = ?', request.event_type)
    .dearSearch('history.payload_json(payload) #> ?::text[] = ?::jsonb', path, value_json);
  labelsOfMessage(query, request);
  return query;
}

export function readMeta(json: string): MessageMeta {
  return MessageMeta.parse(JSON.parse(json));
}

function toMessage(row: MessageColumns): HistoryMessage {
  const meta = readMeta(row.meta);
  return {
    id: meta.id,
    tenant: meta.tenant,
    account: meta.account,
    event_type: meta.type,
    channels: meta.channels ?? [],
    tags: meta.tags ?? [],
    content_type: meta.contentType,
    accepted_at: meta.at,
    config_version: meta.config,
    stale_config: meta.staleConfig ?? false,
    payload_bytes: row.payload_bytes,
    shredded_at: row.shredded_at ?? undefined,
    deliveries: row.deliveries,
  };
}
