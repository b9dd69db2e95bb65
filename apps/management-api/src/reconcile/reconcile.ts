import {
  type CompareReceived,
  type HistoryMeant,
  type MeantMessage,
  type MeantRange,
  POSITION_PATTERN,
  type ReceivedComparison,
  type ReconcileQuery,
} from '@posthaste/contracts';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';
import type { HistoryReader } from '../history/index.js';
import { type Cursors, type Page, pageOf } from '../http/cursors.js';
import { fieldProblem } from '../http/refusals.js';

/**
 * What was meant for an endpoint, so that its receiver can prove that it has all of it: listed in order of position, or
 * compared with the ids it has. Sound up to what history has projected, which is within a second of a message's 202.
 *
 * Who may read is not decided here: the caller has found the endpoint within its key's reach.
 */
export class Reconcile {
  constructor(
    private readonly reader: HistoryReader,
    private readonly cursors: Cursors,
  ) {}

  async list(row: EndpointRow, { limit, cursor, from, to }: ReconcileQuery): Promise<Page<MeantMessage>> {
    const range = rangeOf(row, { from, to }, '?');
    const list = { tenant: row.tenant, route: `reconcile of ${row.id}`, filter: { from, to } };
    const after = cursor === undefined ? undefined : this.cursors.open(list, cursor).id;
    const { data, has_more = false } = await this.reader.read((client) =>
      client.listMeant({ range, after, limit }),
    );
    const sortKey = ({ accepted_at, position }: HistoryMeant) => ({ atMs: accepted_at, id: position });
    return pageOf(this.cursors, list, { rows: data, hasMore: has_more }, sortKey, meantView);
  }

  async compare(
    row: EndpointRow,
    { from, to, ids }: Pick<CompareReceived, 'from' | 'to' | 'ids'>,
  ): Promise<Omit<ReceivedComparison, 'replay'>> {
    const range = rangeOf(row, { from, to }, '/');
    const { missing, unknown, next_from } = await this.reader.read((client) =>
      client.compareReceived({ range, ids }),
    );
    return { missing, unknown, more: next_from !== undefined, next_from: next_from ?? null };
  }
}

type Bounds = Pick<ReconcileQuery, 'from' | 'to'>;

function rangeOf(
  { tenant, account, id: endpoint }: EndpointRow,
  { from, to }: Bounds,
  place: '?' | '/',
): MeantRange {
  const [since, until] = [timeOf(from), timeOf(to)];
  const isTurned =
    since === undefined || until === undefined
      ? from !== undefined && to !== undefined && since === until && from > to
      : since > until;
  if (isTurned) {
    const message = 'must not be before `from`';
    throw fieldProblem(
      [{ pointer: `${place}to`, code: 'bad_range', message }],
      place === '/' ? 'validation_failed' : 'invalid_request',
    );
  }
  return {
    ...{ tenant, account, endpoint, since, until },
    from: since === undefined ? from : undefined,
    to: until === undefined ? to : undefined,
  };
}

/** Undefined for a position. */
function timeOf(bound: string | undefined): number | undefined {
  return bound === undefined || POSITION_PATTERN.test(bound) ? undefined : Date.parse(bound);
}

/** gRPC leaves out what is zero. */
function meantView(row: HistoryMeant): MeantMessage {
  return {
    position: row.position,
    message_id: row.message,
    delivery_id: row.delivery,
    event_type: row.event_type,
    accepted_at: new Date(row.accepted_at).toISOString(),
    payload_sha256: row.payload_sha256 ?? null,
    status: row.status as MeantMessage['status'],
    attempts: row.attempts ?? 0,
  };
}
