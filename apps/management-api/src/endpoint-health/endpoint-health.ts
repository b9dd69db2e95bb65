import type { OperatorEvent, HealthFact } from '@posthaste/contracts';
import {
  disablesAt,
  type FailingAllWeek,
  type Stage,
  stageAfter,
  WEEK_HOURS,
} from './disable-endpoint-when-failing.js';
import { type SaidToBeGone, saysItIsGone } from './disable-endpoint-when-gone.js';

/**
 * An endpoint's health as a fold over its attempts, and what follows from each:
 *
 *   well --(failure)--> failing --(24 h)--> warned --(72 h)--> warned --(7 d)--> to be disabled
 *     ^                    |                   |                                     |
 *     +-----(success)------+----(success: recovered)------(switched on by hand)------+
 *
 * A boundary is acted on by the first failure at or after it, and only by the highest of several passed at once. Saying
 * that it is gone disables an endpoint in any state. Failures of our own making (`internal`) count for nothing.
 * Times are the attempts' beginnings, ms since 1970; nothing is asked of a clock.
 */
export interface EndpointHealth {
  failingSince: number | null;
  /** Not moved for every success: up to `FRESH_MS` old while all is well. */
  lastSuccessAt: number | null;
  lastFailureAt: number | null;
  /** Since the last success. */
  failures: number;
  stageHours: Stage;
  /** Operators were warned, and not yet told that it recovered. */
  isWarned: boolean;
}

export const unknownHealth: EndpointHealth = {
  failingSince: null,
  lastSuccessAt: null,
  lastFailureAt: null,
  failures: 0,
  stageHours: 0,
  isWarned: false,
};

/** What the endpoint's configuration has to say. */
export interface HealthRules {
  /** Failures before it do not count. */
  countsFrom: number;
  autoDisable: boolean;
}

/** Something to be done, once for each cause. */
export type Consequence = { cause: string; at: number } & (
  { kind: 'disable'; detail: FailingAllWeek | SaidToBeGone } | { kind: 'tell'; detail: OperatorEvent }
);

/** So old a known success may be: what is well costs one row in this time, and nothing for the attempts between. */
const FRESH_MS = 300_000;

function isWell({ failingSince, isWarned }: EndpointHealth): boolean {
  return failingSince === null && !isWarned;
}

/** The same object when nothing changed. */
export function healthAfter(
  before: EndpointHealth,
  fact: HealthFact,
  rules: HealthRules,
): { health: EndpointHealth; consequences: Consequence[] } {
  const gone = goneBy(fact, rules);
  const { health, consequences } =
    fact.outcome === 'succeeded' ? afterSuccess(before, fact) : afterFailure(before, fact, rules);
  return { health, consequences: [...consequences, ...gone, ...exhaustedBy(fact)] };
}

interface After {
  health: EndpointHealth;
  consequences: Consequence[];
}

function afterSuccess(before: EndpointHealth, fact: HealthFact): After {
  const { startedAt: at, id } = fact;
  const { lastSuccessAt, lastFailureAt, failingSince } = before;
  if (isWell(before) && lastSuccessAt !== null && at - lastSuccessAt < FRESH_MS) {
    return { health: before, consequences: [] };
  }
  const health = {
    ...unknownHealth,
    lastSuccessAt: Math.max(at, lastSuccessAt ?? 0),
    lastFailureAt,
  };
  if (!before.isWarned) return { health, consequences: [] };
  const failing_since = failingSince === null ? null : instant(failingSince);
  const data = { ...subjectOf(fact), failing_since, attempt_id: id };
  const detail = { type: 'endpoint.recovered' as const, timestamp: instant(at), data };
  return { health, consequences: [{ cause: `endpoint.recovered/${id}`, at, kind: 'tell', detail }] };
}

function afterFailure(before: EndpointHealth, fact: HealthFact, rules: HealthRules): After {
  const { startedAt: at, endpoint, id } = fact;
  if (fact.error?.class === 'internal' || at < rules.countsFrom) return { health: before, consequences: [] };
  const isOver = before.failingSince !== null && before.failingSince < rules.countsFrom;
  const failingSince = isOver ? at : (before.failingSince ?? at);
  const reached = stageAfter(at - failingSince, rules.autoDisable);
  const acted = isOver ? 0 : before.stageHours;
  const health: EndpointHealth = {
    ...before,
    failingSince,
    lastFailureAt: Math.max(at, before.lastFailureAt ?? 0),
    failures: isOver ? 1 : before.failures + 1,
    stageHours: reached > acted ? reached : acted,
    isWarned: before.isWarned || reached > acted,
  };
  if (reached <= acted) return { health, consequences: [] };
  const cause = `endpoint.failing/${endpoint}/${failingSince}/${reached}`;
  if (reached === WEEK_HOURS) {
    const detail: FailingAllWeek = { reason: 'failing', failingSince, attempt: id };
    return { health, consequences: [{ cause, at, kind: 'disable', detail }] };
  }
  const detail: OperatorEvent = {
    type: 'endpoint.warning',
    timestamp: instant(at),
    data: {
      ...subjectOf(fact),
      failing_since: instant(failingSince),
      failing_hours: reached,
      failures: health.failures,
      last_error: fact.error ?? null,
      disables_at: rules.autoDisable ? instant(disablesAt(failingSince)) : null,
    },
  };
  return { health, consequences: [{ cause, at, kind: 'tell', detail }] };
}

function goneBy(fact: HealthFact, { countsFrom }: HealthRules): Consequence[] {
  const { startedAt: at, id, url } = fact;
  if (!saysItIsGone(fact) || at < countsFrom) return [];
  const detail: SaidToBeGone = { reason: 'gone', url, at, attempt: id };
  return [{ cause: `endpoint.gone/${id}`, at, kind: 'disable', detail }];
}

/** Once for a delivery: one that was sent again by hand and failed again is nothing new to its operator. */
function exhaustedBy(fact: HealthFact): Consequence[] {
  if (fact.decision.kind !== 'exhausted') return [];
  const { startedAt: at, delivery, message, eventType, attempt, error } = fact;
  const detail: OperatorEvent = {
    type: 'message.attempts_exhausted',
    timestamp: instant(at),
    data: {
      ...subjectOf(fact),
      message_id: message,
      delivery_id: delivery,
      event_type: eventType,
      attempts: attempt,
      last_error: error ?? null,
    },
  };
  return [{ cause: `message.attempts_exhausted/${delivery}`, at, kind: 'tell', detail }];
}

function subjectOf({ account, endpoint }: HealthFact): { account_id: string; endpoint_id: string } {
  return { account_id: account, endpoint_id: endpoint };
}

export function instant(ms: number): string {
  return new Date(ms).toISOString();
}
