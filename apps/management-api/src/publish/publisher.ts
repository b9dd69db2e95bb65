import { newId } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';
import { Problem } from '@posthaste/runtime';
import { acceptMessages, type Named } from './accept-messages.js';
import type { Admission } from './account-gate.js';
import { EVENT_ID_SCOPE, Idempotency, IDEMPOTENCY_KEY, messageFingerprint } from './idempotency.js';
import type { PublishRequest } from './publish-request.js';
import type { Claim, ClaimAsk, StoredResponse } from './sql/claim-keys.js';

/** A request to publish, understood and admitted. */
export interface Publication {
  admission: Admission;
  requests: readonly PublishRequest[];
  /** A batch answers a list, even of one. */
  batch: boolean;
  /** The Idempotency-Key with the route it was sent to and what the request was. */
  idempotency: { scope: string; key: string; fingerprint: Buffer } | undefined;
  trace: string | undefined;
}

export interface Outcome extends StoredResponse {
  /** It is the answer of an earlier request with the same Idempotency-Key. */
  replayed: boolean;
  /** How many messages the log took for it. */
  accepted: number;
}

/** One message of a request: the claim on its event_id, and the answer once there is one. */
interface Part extends Named {
  ask: ClaimAsk | undefined;
  repeated: boolean;
  body: string;
}

/**
 * Publishes once what may be asked for many times. The order is what makes it safe: claim the keys, append under the
 * ids the claims gave, store the answers under the keys, answer. Whatever step it dies after, a repeat can go on.
 */
export class Publisher {
  constructor(
    private readonly log: EventLog,
    private readonly idempotency: Idempotency,
    private readonly now: () => number,
    private readonly onUnsettled: (error: unknown) => void,
  ) {}

  async publish(publication: Publication): Promise<Outcome | Problem> {
    const atMs = this.now();
    const { idempotency, admission } = publication;
    const parts = publication.requests.map((request, index) => partOf(publication, request, index, atMs));
    const whole: ClaimAsk | undefined = idempotency && {
      tenant: admission.tenant,
      pointer: IDEMPOTENCY_KEY,
      resultId: parts.map(({ id }) => id).join(),
      ...idempotency,
    };
    const asks = [whole, ...parts.map(({ ask }) => ask)].filter((ask) => ask !== undefined);
    if (asks.length === 0) return this.accept(publication, parts, atMs);
    const claims = await this.claim(asks);
    if (claims instanceof Problem) return claims;
    const claimed = asks.filter((ask) => claims.get(ask)?.kind === 'claimed');
    const earlier = whole && claims.get(whole);
    let outcome: Outcome | Problem | undefined;
    try {
      if (earlier?.kind === 'done') return { ...earlier.response, replayed: true, accepted: 0 };
      if (earlier?.kind === 'claimed')
        earlier.resultId.split(',').forEach((id, i) => ((parts[i] as Part).id = id));
      for (const part of parts) applyClaim(part, part.ask && claims.get(part.ask));
      outcome = await this.accept(publication, parts, atMs);
      return outcome;
    } finally {
      if (outcome === undefined || outcome instanceof Problem) await this.idempotency.release(claimed);
      else await this.settle(claimed, whole, parts, outcome);
    }
  }

  private async accept(publication: Publication, parts: Part[], atMs: number): Promise<Outcome | Problem> {
    const fresh = parts.filter(({ repeated }) => !repeated);
    if (fresh.length > 0) {
      const { admission, trace } = publication;
      const deliveries = await acceptMessages(this.log.producer, admission, fresh, atMs, trace);
      if (deliveries instanceof Problem) return deliveries;
      // Ids and numbers need no escaping.
      fresh.forEach((part, i) => (part.body = `{"id":"${part.id}","deliveries":${deliveries[i]}}`));
    }
    const bodies = parts.map(({ body }) => body).join();
    return {
      status: publication.batch || fresh.length > 0 ? 202 : 200,
      body: publication.batch ? `{"data":[${bodies}]}` : bodies,
      replayed: false,
      accepted: fresh.length,
    };
  }

  /** Without PostgreSQL nobody can promise that a repeat is one. */
  private async claim(asks: ClaimAsk[]): Promise<Map<ClaimAsk, Claim> | Problem> {
    try {
      const claims = await this.idempotency.claim(asks);
      return claims instanceof Problem
        ? claims
        : new Map(claims.map((claim, i) => [asks[i] as ClaimAsk, claim]));
    } catch (error) {
      this.onUnsettled(error);
      return new Problem('unavailable', 'Repeats cannot be told right now; nothing was accepted.', [], 1);
    }
  }

  /** The message is in the log whatever comes of this: unsettled, a repeat appends it again under the same id. */
  private async settle(
    claimed: ClaimAsk[],
    whole: ClaimAsk | undefined,
    parts: Part[],
    { status, body }: Outcome,
  ): Promise<void> {
    const answers = new Map(parts.map((part) => [part.ask, { status: 200, body: part.body }]));
    answers.set(whole, { status, body });
    const settlements = claimed.map((ask) => ({ ...ask, response: answers.get(ask) ?? null }));
    await this.idempotency.settle(settlements).catch(this.onUnsettled);
  }
}

function partOf(publication: Publication, request: PublishRequest, index: number, atMs: number): Part {
  const { tenant, account } = publication.admission;
  const id = newId('message', atMs);
  const ask =
    request.eventId === undefined
      ? undefined
      : {
          tenant,
          scope: EVENT_ID_SCOPE,
          key: request.eventId,
          fingerprint: messageFingerprint(account, request),
          pointer: `${publication.batch ? `/messages/${index}` : ''}/event_id`,
          resultId: id,
        };
  return { id, request, ask, repeated: false, body: '' };
}

function applyClaim(part: Part, claim: Claim | undefined): void {
  if (claim?.kind === 'claimed') part.id = claim.resultId;
  if (claim?.kind === 'done') {
    part.repeated = true;
    part.body = claim.response.body;
  }
}
