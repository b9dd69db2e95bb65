import {
  type HistoryReplay,
  isId,
  newId,
  type PageQuery,
  type Recover,
  type Replay,
  type ReplayReply,
  type SteerReplayRequest,
} from '@posthaste/contracts';
import type { Author, Reach } from '../access/principal.js';
import type { Changes } from '../changes/changes.js';
import type { Endpoints } from '../endpoints/endpoints.js';
import type { HistoryReader } from '../history/index.js';
import { type Cursors, type Page, pageOf, pageRequest } from '../http/cursors.js';
import { absent, fieldProblem } from '../http/refusals.js';
import { refuseUnsendable } from './refuse-unsendable.js';

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
    private readonly endpoints: Endpoints,
    private readonly cursors: Cursors,
    private readonly changes: Changes,
  ) {}

  /** @param pointer what of the request named the endpoint */
  async recover(
    author: Author,
    reach: Reach,
    endpointRef: string,
    input: Recover,
    pointer: string,
  ): Promise<Replay> {
    const endpoint = await this.endpoints.find(reach, { endpoint: endpointRef });
    if (!endpoint) throw absent('endpoint', pointer);
    refuseUnsendable(endpoint, pointer);
    const [since, until] = [Date.parse(input.since), Date.parse(input.until ?? new Date().toISOString())];
    if (since >= until) {
      const message = input.until === undefined ? 'must be in the past' : 'must be before `until`';
      throw fieldProblem([{ pointer: '/since', code: 'empty_range', message }]);
    }
    const { tenant, account } = endpoint;
    const request = {
      id: newId('replay'),
      ...{ tenant, account, endpoint: endpoint.id, since, until },
      rate_per_second: input.rate_per_second,
      by: author.actor,
      dry_run: input.dry_run,
    };
    const start = (): Promise<ReplayReply> => this.reader.ask((client) => client.startReplay(request));
    if (input.dry_run) {
      const reply = await start();
      return { ...replayView(found(reply)), id: null, status: 'dry_run', sample: reply.sample };
    }
    return this.changes.make(author, async (draft) => {
      await draft.audit(tenant, 'replay.started', { kind: 'replay', id: request.id, version: 0 }, []);
      return replayView(found(await start()));
    });
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

function found({ replay }: ReplayReply): HistoryReplay {
  if (!replay) throw absent('replay', ':id');
  return replay;
}

function replayView(replay: HistoryReplay): Replay {
  const { total = 0, requested = 0, succeeded = 0, failed = 0 } = replay;
  const isOver = replay.status === 'completed' || replay.status === 'cancelled';
  const left = isOver ? 0 : Math.max(0, total - requested);
  return {
    id: replay.id,
    account_id: replay.account,
    endpoint_id: replay.endpoint,
    status: replay.status,
    since: new Date(replay.since).toISOString(),
    until: new Date(replay.until).toISOString(),
    rate_per_second: replay.rate_per_second,
    requested_by: replay.by,
    created_at: new Date(replay.created_at).toISOString(),
    finished_at: replay.finished_at === undefined ? null : new Date(replay.finished_at).toISOString(),
    ...{ total, requested, succeeded, failed },
    estimated_seconds: Math.ceil(left / replay.rate_per_second),
    sample: null,
  };
}
