import {
  type Backfill,
  type CreateReplay,
  type HistoryReplay,
  isId,
  newId,
  type PageQuery,
  type Recover,
  type Replay,
  type ReplayReply,
  type SteerReplayRequest,
} from '@posthaste/contracts';
import { unfilterableBy } from '@posthaste/delivery';
import type { Author, Reach } from '../access/principal.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Changes } from '../changes/changes.js';
import type { EndpointRow } from '../endpoints/endpoint.entity.js';
import type { Endpoints } from '../endpoints/endpoints.js';
import type { EndpointRef } from '../endpoints/find-endpoint.js';
import type { HistoryReader } from '../history/index.js';
import { type Cursors, type Page, pageOf, pageRequest } from '../http/cursors.js';
import { absent, fieldProblem } from '../http/refusals.js';
import {
  type Chosen,
  chosenBy,
  deliveriesTo,
  NO_END,
  NO_FILTER,
  NO_NAMES,
  rangeOf,
  refuseMuddled,
  SETTLED,
} from './chosen.js';
import { refuseUnsendable } from './refuse-unsendable.js';
import { replayView } from './replay-view.js';

const EVERYTHING = { filter: NO_FILTER, names: NO_NAMES };

/** Which way a replay is steered, as the audit log says it. */
const STEERING = {
  paused: 'replay.paused',
  running: 'replay.resumed',
  cancelled: 'replay.cancelled',
} as const;

/**
 * Replays as a key may ask for them; audit-log runs them. A replay and its audit entry: the entry is committed only
 * after audit-log has it, so none is there for a replay that never began. Should the process die between the two, the
 * replay runs, and its own row says who asked.
 */
export class Replays {
  constructor(
    private readonly reader: HistoryReader,
    private readonly accounts: Accounts,
    private readonly endpoints: Endpoints,
    private readonly cursors: Cursors,
    private readonly changes: Changes,
  ) {}

  /** What an endpoint lacks for its own fault. */
  async recover(author: Author, reach: Reach, endpointRef: string, input: Recover): Promise<Replay> {
    const endpoint = await this.sendable(reach, { endpoint: endpointRef }, ':endpoint');
    const range = rangeOf(input, '/since');
    const chosen: Chosen = { kind: 'recover', endpoint: endpoint.id, ...range, ...EVERYTHING };
    return this.start(author, endpoint, chosen, input);
  }

  /** Deliveries of an endpoint, or of an account, that somebody chose. */
  async create(author: Author, reach: Reach, input: CreateReplay): Promise<Replay> {
    refuseMuddled(input, reach.account !== null);
    const { endpoint_id, account_id, to_endpoint_id } = input;
    const account = account_id === undefined ? undefined : await this.accountOf(reach, account_id);
    if (endpoint_id === undefined) {
      const owner = { tenant: reach.tenant, account: account ?? reach.account ?? '' };
      const sendable = await this.endpoints.sendable(owner);
      return this.start(author, owner, chosenBy(input, undefined, undefined, sendable), input);
    }
    const ref = { account, endpoint: endpoint_id };
    if (to_endpoint_id === undefined) {
      const endpoint = await this.sendable(reach, ref, '/endpoint_id');
      return this.start(author, endpoint, chosenBy(input, endpoint.id, undefined, []), input);
    }
    const endpoint = await this.endpoint(reach, ref, '/endpoint_id');
    const toRef = { account: endpoint.account, endpoint: to_endpoint_id };
    const to = await this.sendable(reach, toRef, '/to_endpoint_id');
    if (to.id === endpoint.id) {
      const message = 'must be another endpoint than `endpoint_id`';
      throw fieldProblem([{ pointer: '/to_endpoint_id', code: 'same_endpoint', message }]);
    }
    return this.start(author, endpoint, chosenBy(input, endpoint.id, to.id, []), input);
  }

  /** Messages of its account that an endpoint never had and that would be routed to it now. */
  async backfill(author: Author, reach: Reach, endpointRef: string, input: Backfill): Promise<Replay> {
    const endpoint = await this.sendable(reach, { endpoint: endpointRef }, ':endpoint');
    const { id, channels } = endpoint;
    const event_types = typesRouted(endpoint);
    const range = rangeOf({ since: input.start_from, until: input.until }, '/start_from');
    const filter = { ...EVERYTHING.filter, event_types, channels };
    return this.start(
      author,
      endpoint,
      { ...EVERYTHING, kind: 'backfill', endpoint: id, ...range, filter },
      input,
    );
  }

  /** What a receiver says it lacks of what was meant for its endpoint. What is owed an attempt anyhow is left to that. */
  async resendMissing(
    author: Author,
    endpoint: EndpointRow,
    messages: string[],
    rate_per_second: number,
  ): Promise<Replay> {
    const chosen: Chosen = {
      ...{ kind: 'resend', endpoint: endpoint.id, since: 0, until: NO_END },
      filter: { ...EVERYTHING.filter, statuses: SETTLED, named: messages.length },
      names: { ...EVERYTHING.names, deliveries: deliveriesTo(endpoint.id, messages) },
    };
    return this.start(author, endpoint, chosen, { rate_per_second, dry_run: false });
  }

  private async start(
    author: Author,
    { tenant, account }: Pick<EndpointRow, 'tenant' | 'account'>,
    chosen: Chosen,
    { rate_per_second, dry_run }: Pick<Recover, 'rate_per_second' | 'dry_run'>,
  ): Promise<Replay> {
    const id = newId('replay');
    const request = { id, tenant, account, ...chosen, rate_per_second, by: author.actor, dry_run };
    const start = (): Promise<ReplayReply> => this.reader.ask((client) => client.startReplay(request));
    if (dry_run) {
      const reply = await start();
      return { ...replayView(found(reply)), id: null, status: 'dry_run', sample: reply.sample };
    }
    return this.changes.make(author, async (draft) => {
      await draft.audit(tenant, 'replay.started', { kind: 'replay', id, version: 0 }, []);
      return replayView(found(await start()));
    });
  }

  private async accountOf(reach: Reach, ref: string): Promise<string> {
    const account = await this.accounts.find(reach, ref);
    if (!account) throw absent('account', '/account_id');
    return account.id;
  }

  /** @param pointer what of the request named the endpoint */
  private async endpoint(reach: Reach, ref: EndpointRef, pointer: string): Promise<EndpointRow> {
    const endpoint = await this.endpoints.find(reach, ref);
    if (!endpoint) throw absent('endpoint', pointer);
    return endpoint;
  }

  private async sendable(reach: Reach, ref: EndpointRef, pointer: string): Promise<EndpointRow> {
    const endpoint = await this.endpoint(reach, ref, pointer);
    refuseUnsendable(endpoint, pointer);
    return endpoint;
  }

  async get(reach: Reach, id: string): Promise<Replay> {
    return replayView(await this.replay(reach, id));
  }

  async list({ tenant, account }: Reach, query: PageQuery): Promise<Page<Replay>> {
    const list = { tenant, route: `replays of ${account ?? 'all'}` };
    const page = pageRequest(this.cursors, list, query);
    const rows = await this.reader.ask((client) =>
      client.listReplays({ tenant, account: account ?? undefined, page }),
    );
    const sortKey = ({ created_at, id }: HistoryReplay) => ({ atMs: created_at, id });
    return pageOf(
      this.cursors,
      list,
      { rows: rows.data, hasMore: rows.has_more ?? false },
      sortKey,
      replayView,
    );
  }

  /** Answers with the replay as it then is: one that is over stays so. */
  async steer(
    author: Author,
    reach: Reach,
    id: string,
    status: SteerReplayRequest['status'],
  ): Promise<Replay> {
    const { tenant } = await this.replay(reach, id);
    return this.changes.make(author, async (draft) => {
      await draft.audit(tenant, STEERING[status], { kind: 'replay', id, version: 0 }, []);
      return replayView(found(await this.reader.ask((client) => client.steerReplay({ tenant, id, status }))));
    });
  }

  private async replay({ tenant, account }: Reach, id: string): Promise<HistoryReplay> {
    if (!isId('replay', id)) throw absent('replay', ':id');
    const replay = found(await this.reader.ask((client) => client.getReplay({ tenant, id })));
    if (account !== null && account !== replay.account) throw absent('replay', ':id');
    return replay;
  }
}

/** The event types that are routed to it; empty: every one. */
function typesRouted({ eventTypes, profile }: EndpointRow): string[] {
  return eventTypes.length === 0 ? [] : [...new Set([...eventTypes, unfilterableBy(profile) ?? []].flat())];
}

function found({ replay }: ReplayReply): HistoryReplay {
  if (!replay) throw absent('replay', ':id');
  return replay;
}
