import {
  type DeliveryAttempted,
  type DeliveryDeferred,
  type DeliveryEvent,
  type DeliveryRequested,
  isRequested,
  type Trigger,
} from '@posthaste/contracts';

/**
 * What a delivery is owed, as a fold over its events: an attempt at a time, or nothing.
 *
 * The index forgets a delivery when its attempt is released or it is settled, so the fold cannot know everything that
 * came before. It promises:
 * - a fact about attempt n never replaces what is owed because of a fact about a later attempt;
 * - of several reports about one attempt the first decides, and a deferral of the owed attempt moves it;
 * - a success or a cancellation ends it, whenever it is reported (as in the delivery's own fold), with one exception:
 * - an attempt somebody asked for is owed whatever came of earlier ones, and asking twice for it is asking once.
 * A report that comes again after its attempt was released puts that attempt back. The release asks history whether
 * it is still owed, and the dispatcher drops what it has attempted already.
 */
export interface OwedAttempt {
  delivery: string;
  message: string;
  tenant: string;
  account: string;
  endpoint: string;
  attempt: number;
  /** ms since 1970. */
  dueAt: number;
  trigger: Trigger;
  reason: DeliveryDeferred['reason'] | null;
  /** Null: it waits for no other delivery. */
  ordering: OwedInOrder | null;
}

/** A delivery's place in its ordering key. Keys are told apart by their endpoint and the partition of its account. */
export interface OwedInOrder {
  partition: number;
  key: string;
  position: number;
  /** It is exhausted: nothing is owed, and those behind it wait for somebody to cancel it. */
  blocks: boolean;
}

/**
 * What is owed after an event, given what was owed before (null: nothing, or not known).
 *
 * @param partition of `deliveries`, the one the event lies in
 */
export function owedAfter(
  before: OwedAttempt | null,
  event: DeliveryEvent,
  partition: number,
): OwedAttempt | null {
  const isStale = before !== null && event.attempt < before.attempt;
  switch (event.type) {
    case 'DeliveryAttempted':
      switch (event.decision.kind) {
        case 'delivered':
          return isStale && isRequested(before.trigger) ? before : null;
        case 'exhausted':
        case 'cancelled':
          if (isStale) return before;
          return event.ordering?.blocks ? afterAttempt(event, event.startedAt, partition) : null;
        case 'retry':
          return isStale ? before : afterAttempt(event, event.decision.at, partition);
        default:
          return unreachable(event.decision);
      }
    case 'DeliveryDeferred':
      return isStale
        ? before
        : {
            ...named(event, partition),
            attempt: event.attempt,
            dueAt: event.until,
            trigger: event.trigger,
            reason: event.reason,
          };
    case 'DeliveryCancelled':
      return null;
    case 'DeliveryRequested':
      return requested(before, event, partition);
    case 'ShadowAttempted':
      return before;
    default:
      return unreachable(event);
  }
}

/**
 * An attempt that is owed already is not owed twice. The one that blocks its key goes in the key's order, and frees it
 * when it succeeds; any other goes when its time comes, out of order: those behind it have gone long ago.
 */
function requested(before: OwedAttempt | null, event: DeliveryRequested, partition: number): OwedAttempt {
  const isBlocking = before?.ordering?.blocks ?? false;
  if (before !== null && (isBlocking ? event.attempt < before.attempt : event.attempt <= before.attempt)) {
    return before;
  }
  return {
    ...named(event, partition),
    ordering: before?.ordering ? { ...before.ordering, blocks: false } : null,
    attempt: event.attempt,
    dueAt: event.at,
    trigger: event.trigger,
    reason: null,
  };
}

function afterAttempt(event: DeliveryAttempted, dueAt: number, partition: number): OwedAttempt {
  return { ...named(event, partition), attempt: event.attempt + 1, dueAt, trigger: 'retry', reason: null };
}

function named(
  event: DeliveryEvent,
  partition: number,
): Pick<OwedAttempt, 'delivery' | 'message' | 'tenant' | 'account' | 'endpoint' | 'ordering'> {
  const { delivery, message, tenant, account, endpoint, ordering } = event;
  const inOrder = ordering && { ...ordering, blocks: ordering.blocks ?? false, partition };
  return { delivery, message, tenant, account, endpoint, ordering: inOrder ?? null };
}

/** A new event that nobody handles does not compile. */
function unreachable(value: never): never {
  throw new Error(`not handled: ${JSON.stringify(value)}`);
}
