import {
  type AttemptErrorClass,
  type CancelReason,
  type DeliveryAttempted,
  type DeliveryCancelled,
  type DeliveryDeferred,
  type DeliveryEvent,
  isRequested,
} from '@posthaste/contracts';

/**
 * A delivery (one message to one endpoint) as a fold over its events.
 *
 *                 +--- deferred <--+
 *                 v       |        |
 *   pending --> [attempt owed] ----+--> retrying --> (attempt owed again)
 *                 |   |   |
 *                 |   |   +--> exhausted     the policy has no further attempt
 *                 |   +------> cancelled     the endpoint went away or was disabled
 *                 +----------> delivered     a 2xx
 *
 * The log may hold an event twice, and a process that lost its partition may still append a late one. So:
 * - an event about an attempt that is no longer owed changes nothing;
 * - a settled delivery stays settled, and only counts further attempts, with one exception:
 * - a success counts whenever it is reported, because the receiver has the message and saying otherwise would be a lie.
 *
 * An attempt that somebody asks for changes nothing until it is made: a settled delivery stays what it is, and then
 * becomes what the attempt came to, unless it is delivered, which it stays.
 *
 * A delivery to a feed begins and ends as `delivered`, without an attempt: being in the log is all there is to it.
 *
 * Times are milliseconds since 1970.
 */
export type DeliveryState =
  | { status: 'pending'; attempts: 0; last: null }
  | { status: 'retrying'; attempts: number; nextAttemptAt: number; last: LastAttempt }
  | {
      status: 'deferred';
      attempts: number;
      nextAttemptAt: number;
      reason: DeliveryDeferred['reason'];
      last: LastAttempt | null;
    }
  | { status: 'delivered'; attempts: number; settledAt: number; last: LastAttempt | null }
  | { status: 'exhausted'; attempts: number; settledAt: number; last: LastAttempt }
  | {
      status: 'cancelled';
      attempts: number;
      settledAt: number;
      reason: CancelReason;
      last: LastAttempt | null;
    };

/** What the latest counted attempt came to. */
export interface LastAttempt {
  statusCode: number | null;
  errorClass: AttemptErrorClass | null;
}

export const pendingDelivery: DeliveryState = { status: 'pending', attempts: 0, last: null };

/** The only state of a delivery to a feed. */
export function fedDelivery(acceptedAt: number): DeliveryState {
  return { status: 'delivered', attempts: 0, settledAt: acceptedAt, last: null };
}

/** The number of the attempt that comes next while the delivery is not settled. */
export function attemptOwed(state: DeliveryState): number {
  return state.attempts + 1;
}

export function isSettled(state: DeliveryState): state is Extract<DeliveryState, { settledAt: number }> {
  return isSettledStatus(state.status);
}

/** The same of a status alone, as the API and history tell it; what is no status of ours is not settled. */
export function isSettledStatus(status: string): boolean {
  return status === 'delivered' || status === 'exhausted' || status === 'cancelled';
}

export function evolve(state: DeliveryState, event: DeliveryEvent): DeliveryState {
  switch (event.type) {
    case 'DeliveryAttempted':
      return attempted(state, event);
    case 'DeliveryDeferred':
      return deferred(state, event);
    case 'DeliveryCancelled':
      return cancelled(state, event);
    case 'DeliveryRequested':
    case 'ShadowAttempted':
      return state;
    default:
      return unreachable(event);
  }
}

function attempted(state: DeliveryState, event: DeliveryAttempted): DeliveryState {
  const { decision } = event;
  const attempts = Math.max(state.attempts, event.attempt);
  const isNews = isRequested(event.trigger) && attempts > state.attempts && state.status !== 'delivered';
  if (isSettled(state) && !isNews && (state.status === 'delivered' || decision.kind !== 'delivered')) {
    // Made all the same: the retry was under way when an earlier attempt, made again after a crash, settled it.
    return attempts === state.attempts ? state : { ...state, attempts };
  }
  if (event.attempt < attemptOwed(state) && decision.kind !== 'delivered') return state;
  const settledAt = event.startedAt + Math.round(event.timings.totalMs);
  const last: LastAttempt = {
    statusCode: event.response?.status ?? null,
    errorClass: event.error?.class ?? null,
  };
  switch (decision.kind) {
    case 'delivered':
      return { status: 'delivered', attempts, settledAt, last };
    case 'retry':
      return { status: 'retrying', attempts, nextAttemptAt: decision.at, last };
    case 'exhausted':
      return { status: 'exhausted', attempts, settledAt, last };
    case 'cancelled':
      return { status: 'cancelled', attempts, settledAt, reason: decision.reason, last };
    default:
      return unreachable(decision);
  }
}

function deferred(state: DeliveryState, event: DeliveryDeferred): DeliveryState {
  if (isSettled(state) || event.attempt < attemptOwed(state)) return state;
  const { until, reason } = event;
  return {
    status: 'deferred',
    attempts: event.attempt - 1,
    nextAttemptAt: until,
    reason,
    last: state.last,
  };
}

function cancelled(state: DeliveryState, event: DeliveryCancelled): DeliveryState {
  if (isSettled(state)) return state;
  const { attempts, last } = state;
  return { status: 'cancelled', attempts, settledAt: event.at, reason: event.reason, last };
}

/** A new event that nobody handles does not compile. */
function unreachable(value: never): never {
  throw new Error(`not handled: ${JSON.stringify(value)}`);
}
