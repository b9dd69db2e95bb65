import { publishLimits } from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import type pg from 'pg';
import type { Admission } from '../../publish/account-gate.js';
import { EVENT_ID_SCOPE, type Idempotency } from '../../publish/idempotency.js';
import type { Publisher } from '../../publish/publisher.js';
import type { PublishRequest } from '../../publish/publish-request.js';
import { loadAccountRouting } from '../../publish/sql/load-account-routing.js';
import { loadEventTypes } from '../../publish/sql/load-event-types.js';
import { bringsNobodyNew, invited } from './invitations.js';
import { isHeld, knownAmong, rememberConnections, type TakenSource } from './stream-rows.js';

/**
 * Publishes what a stream brought through the path every publish takes: routed, logged, each upstream id once. In order,
 * in batches; done means that the log has acknowledged all of it.
 */
export type Published =
  | { kind: 'published'; dropped: number }
  /** Somebody else reads the source now, or nobody is to. */
  | { kind: 'lost' }
  /** Nothing is known of the rest: to be tried again. */
  | { kind: 'refused'; problem: Problem };

const QUERY_TIMEOUT_MS = 5_000;
/** Of a batch's errors, `/messages/<index>/event_id`. */
const INDEX = /^\/messages\/(\d+)\//;

export class EventPublisher {
  constructor(
    private readonly pool: pg.Pool,
    private readonly publisher: Publisher,
    private readonly idempotency: Idempotency,
    private readonly owner: string,
  ) {}

  async publish(source: TakenSource, requests: readonly PublishRequest[]): Promise<Published> {
    let dropped = 0;
    for (let from = 0; from < requests.length; from += publishLimits.batchMessages) {
      const batch = requests.slice(from, from + publishLimits.batchMessages);
      const published = await this.publishBatch(source, batch);
      if (published.kind !== 'published') return published;
      dropped += published.dropped;
    }
    return { kind: 'published', dropped };
  }

  /** Endpoints and event types the account has now. */
  async admissionTo({ account, tenant }: TakenSource): Promise<Admission | null> {
    const [[routing], [catalogue]] = await Promise.all([
      loadAccountRouting(this.pool, [account], QUERY_TIMEOUT_MS),
      this.catalogueOf(tenant),
    ]);
    if (!routing) return null;
    const { config, uid, name, candidates } = routing;
    const eventTypes = catalogue?.names ?? null;
    return { tenant, account, subject: { uid, name }, config, candidates, eventTypes, stale: false };
  }

  private async publishBatch(source: TakenSource, batch: readonly PublishRequest[]): Promise<Published> {
    const admission = await this.admissionTo(source);
    if (admission === null) return { kind: 'lost' };
    const listed = batch.filter(({ eventType }) => admission.eventTypes?.has(eventType) ?? true);
    const { news, names } = await this.withoutOldNews(source, onceEach(listed));
    let dropped = batch.length - listed.length;
    for (let requests = news; requests.length > 0;) {
      // As late as can be: whoever takes over publishes from here on.
      if (!(await isHeld(this.pool, this.owner, source))) return { kind: 'lost' };
      const outcome = await this.publisher.publish({
        admission,
        requests,
        batch: true,
        idempotency: undefined,
        trace: undefined,
      });
      if (!(outcome instanceof Problem)) break;
      if (outcome.code === 'idempotency_in_progress') await this.freeClaims(source, requests);
      const reused =
        outcome.code === 'idempotency_key_reused' && INDEX.exec(outcome.errors[0]?.pointer ?? '');
      if (!reused) return { kind: 'refused', problem: outcome };
      // The id came before, with other content: it is the first one's.
      requests = requests.filter((_, index) => index !== Number(reused[1]));
      dropped++;
    }
    if (names.length > 0) await rememberConnections(this.pool, source.account, names);
    return { kind: 'published', dropped };
  }

  /** Leaves out invitations that brought nobody new; `names` are those the rest brings. */
  private async withoutOldNews(
    { account, syncUrl }: TakenSource,
    requests: PublishRequest[],
  ): Promise<{ news: PublishRequest[]; names: string[] }> {
    const brought = syncUrl === null ? [] : requests.flatMap((request) => invited(request).flat());
    if (brought.length === 0) return { news: requests, names: [] };
    const known = await knownAmong(this.pool, account, brought);
    const names: string[] = [];
    const news = requests.filter((request) => {
      const connections = invited(request);
      if (bringsNobodyNew(connections, known)) return false;
      for (const name of connections.flat()) {
        known.add(name);
        names.push(name);
      }
      return true;
    });
    return { news, names };
  }

  /**
   * Only who holds the lease publishes a stream's events, so whoever has claimed them still is dead, or was us without
   * knowing the answer. The message keeps the id the claim gave it: in the log twice, it is delivered once.
   */
  private async freeClaims({ tenant }: TakenSource, requests: readonly PublishRequest[]): Promise<void> {
    const claims = requests.map(({ eventId: key = '' }) => ({ tenant, scope: EVENT_ID_SCOPE, key }));
    await this.idempotency.release(claims);
  }

  private async catalogueOf(tenant: string) {
    const { rows } = await this.pool.query<{ event_type_policy: string }>(
      'select event_type_policy from config.tenant where id = $1',
      [tenant],
    );
    if (rows[0]?.event_type_policy !== 'known') return [null];
    return loadEventTypes(this.pool, [tenant], QUERY_TIMEOUT_MS);
  }
}

/** One id may come twice in a row; claiming it twice at once would wait for itself. */
function onceEach(requests: readonly PublishRequest[]): PublishRequest[] {
  const seen = new Set<string | undefined>();
  return requests.filter(({ eventId }) => !seen.has(eventId) && seen.add(eventId));
}
