import {
  deliveryId,
  type EndpointAsOf,
  type EndpointAsOfQuery,
  type EndpointVersion,
  isId,
  type PageQuery,
} from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type { DataSource } from 'typeorm';
import type { Reach } from '../access/principal.js';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';
import { type EndpointRef, findEndpointEvenDeleted } from '../endpoints/find-endpoint.js';
import type { HistoryReader } from '../history/history-reader.js';
import { type Cursors, type Page, pageOf, withinLimit } from '../http/cursors.js';
import { selectVersion, selectVersions, type VersionRow } from './sql/select-versions.js';
import { changesBetween, storedView } from './stored-endpoint.js';

/**
 * What endpoints were: each of their changes left an immutable row, which says what it was then and who made it so. An
 * endpoint that is deleted is still found by its id; its uid may be another's by now.
 *
 * A version is of the instant its change began, and counted in the order they were committed. Where two changes of one
 * endpoint began the other way round, milliseconds apart, the later count is what it was from then on.
 */
export class EndpointVersions {
  constructor(
    private readonly database: DataSource,
    private readonly cursors: Cursors,
    private readonly history: HistoryReader,
  ) {}

  /** Newest first. */
  async list(reach: Reach, ref: EndpointRef, { limit, cursor }: PageQuery): Promise<Page<EndpointVersion>> {
    const { id } = await findEndpointEvenDeleted(this.database.manager, reach, ref);
    const list = { tenant: reach.tenant, route: `versions of ${id}` };
    const below = cursor === undefined ? null : Number(this.cursors.open(list, cursor).id);
    const found = await selectVersions(this.database.manager, id, below, limit + 1);
    const sortKey = ({ at, version }: VersionRow) => ({ atMs: at.getTime(), id: String(version) });
    return pageOf(this.cursors, list, withinLimit(found, limit), sortKey, versionView);
  }

  /** The endpoint as it was at one point of its life; `not_found` when it was not there then. */
  async asOf(reach: Reach, ref: EndpointRef, query: EndpointAsOfQuery): Promise<EndpointAsOf> {
    const endpoint = await findEndpointEvenDeleted(this.database.manager, reach, ref);
    const which = await this.pointIn(endpoint, query);
    const found = which && (await selectVersion(this.database.manager, endpoint.id, which));
    const [name = 'at'] = Object.keys(query);
    if (!found) throw notThen(name, 'the endpoint was not there');
    if (found.state.deleted && query.at !== undefined) throw notThen(name, 'the endpoint was deleted');
    return {
      ...storedView(found.state, endpoint.createdAt, found.at),
      deleted: found.state.deleted,
      is_current: found.version === endpoint.version,
    };
  }

  /** Null for an attempt that is unknown, or was made to another endpoint. */
  private async pointIn(
    { id, tenant }: EndpointRow,
    { at, attempt, version }: EndpointAsOfQuery,
  ): Promise<{ version: number } | { at: Date } | null> {
    if (version !== undefined) return { version };
    if (at !== undefined) return { at: new Date(at) };
    if (attempt === undefined || !isId('attempt', attempt)) return null;
    const { attempt: made } = await this.history.read((client) => client.getAttempt({ tenant, id: attempt }));
    if (!made) return null;
    const { delivery } = await this.history.read((client) =>
      client.getDelivery({ tenant, id: made.delivery }),
    );
    if (!delivery || made.delivery !== deliveryId(delivery.message, id)) return null;
    return { version: made.endpoint_version };
  }
}

function notThen(name: string, message: string): Problem {
  return new Problem('not_found', `At that point ${message}.`, [
    { pointer: `?${name}`, code: 'absent', message: `names a point at which ${message}` },
  ]);
}

function versionView({ version, at, state, before, entry }: VersionRow): EndpointVersion {
  return {
    version,
    at: at.toISOString(),
    action: entry.action,
    actor: entry.actor,
    from: entry.from,
    request_id: entry.requestId,
    changed: changesBetween(before, state, entry.changed),
  };
}
