import {
  type ExplainedEndpoint,
  type ExplainQuery,
  type Explanation,
  type HistoryMessage,
  type RoutesReply,
} from '@posthaste/contracts';
import type { DataSource } from 'typeorm';
import type { Reach } from '../access/principal.js';
import type { History } from '../history/history.js';
import type { HistoryReader } from '../history/history-reader.js';
import { deliveryView, messageView } from '../history/views.js';
import { type Cursors, pageOf, withinLimit } from '../http/cursors.js';
import { type Cause, selectCauses } from './sql/select-causes.js';
import { type EndpointThen, selectEndpointsAt } from './sql/select-endpoints-at.js';
import { fieldOfRule, type Verdict, verdictOn, verdictThen } from './verdict.js';

/**
 * Why a message went where it went: an answer for every endpoint its account has or ever had.
 *
 * Two sources are laid side by side. What was done is the log's: the routes the message was accepted with, and what
 * became of its deliveries. Why is worked out again, by the rules publishing uses, from the version rows of the
 * configuration the message is stamped with. They agree unless the message was accepted twice under one id, or a defect
 * of ours made them differ; then both are told, and the log is what happened.
 *
 * It promises nothing about what would happen now: rules of today's configuration are not asked.
 */
export class Explain {
  constructor(
    private readonly database: DataSource,
    private readonly cursors: Cursors,
    private readonly history: History,
    private readonly reader: HistoryReader,
  ) {}

  async message(
    reach: Reach,
    id: string,
    { limit, cursor, endpoint_id }: ExplainQuery,
  ): Promise<Explanation> {
    const { tenant } = reach;
    const message = await this.history.message(reach, id);
    const list = { tenant, route: `explanation of ${id}`, filter: { endpoint_id } };
    const only = await this.history.endpointOf(reach, message.account, endpoint_id);
    const after = cursor === undefined ? null : this.cursors.open(list, cursor);
    const found = await selectEndpointsAt(this.database.manager, {
      account: message.account,
      config: message.config_version ?? 0,
      missedUntil: message.stale_config ? new Date(message.accepted_at) : null,
      after: after && { at: new Date(after.atMs), id: after.id },
      only: only ?? null,
      limit: limit + 1,
    });
    const fitting = withinLimit(found, limit);
    const explain = await this.explainer(message, fitting.rows);
    const sortKey = (row: EndpointThen) => ({ atMs: row.createdAt.getTime(), id: row.id });
    const page = pageOf(this.cursors, list, fitting, sortKey, explain);
    return { message: factsOf(message), ...page };
  }

  /** All that is to be asked, asked once for the page. */
  private async explainer(
    message: HistoryMessage,
    rows: EndpointThen[],
  ): Promise<(endpoint: EndpointThen) => ExplainedEndpoint> {
    const { id, tenant } = message;
    const matchable = toMatchable(message);
    const verdicts = new Map(rows.map((row) => [row.id, verdictThen(matchable, row)]));
    const asks = rows.flatMap((row) => {
      const rule = verdicts.get(row.id)?.rule;
      return rule ? [{ endpoint: row.id, version: row.then?.version ?? 1, field: fieldOfRule[rule] }] : [];
    });
    const endpoints = rows.map((row) => row.id);
    const [recorded, causes] = await Promise.all([
      this.reader.read((client) => client.getRoutes({ tenant, message: id, endpoints })),
      selectCauses(this.database.manager, asks),
    ]);
    return (row) => ({
      ...endpointThen(row, verdicts.get(row.id) as Verdict, causes.get(row.id)),
      ...recordOf(row.id, recorded),
      missed_change: row.missed && {
        version: row.missed.version,
        at: row.missed.at.toISOString(),
        ...shown(verdictOn(matchable, row.missed.state)),
      },
    });
  }
}

/** What the rules were asked about, and no more: a key that may read deliveries need not be one that reads messages. */
function factsOf(message: HistoryMessage): Explanation['message'] {
  const view = messageView(message);
  const { id, account_id, event_type, channels, accepted_at, config_version, stale_config } = view;
  return { id, account_id, event_type, channels, accepted_at, config_version, stale_config };
}

function toMatchable({ event_type: type, channels, accepted_at }: HistoryMessage) {
  return { type, channels, acceptedAt: new Date(accepted_at) };
}

function endpointThen({ id, then, first }: EndpointThen, verdict: Verdict, cause: Cause | undefined) {
  const state = then?.state ?? first;
  return {
    endpoint_id: id,
    uid: state.uid,
    mode: state.mode,
    version: then?.version ?? null,
    ...shown(verdict),
    since: cause
      ? {
          version: cause.version,
          at: cause.at.toISOString(),
          action: cause.entry.action,
          actor: cause.entry.actor,
        }
      : null,
    disabled_reason: verdict.rule === 'enabled' ? state.disabledReason : null,
  };
}

function shown({ matched, rule, wanted, got }: Verdict) {
  return { matched, rule, wanted: [...wanted], got: [...got] };
}

/** What the log says. A message of very many routes is several records; of the later ones the deliveries tell. */
function recordOf(
  endpoint: string,
  { routes, deliveries, partial = false }: RoutesReply,
): Pick<ExplainedEndpoint, 'routed' | 'delivery'> {
  const delivery = deliveries.find((one) => one.endpoint === endpoint);
  const isRecorded = routes.some((route) => route.endpoint === endpoint);
  return {
    routed: isRecorded || (partial && delivery !== undefined),
    delivery: delivery ? deliveryView(delivery) : null,
  };
}
