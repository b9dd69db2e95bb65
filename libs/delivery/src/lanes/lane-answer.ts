import type { DeliveryDeferred, DeliveryEvent } from '@posthaste/contracts';

/** Why a lane turned a delivery away. */
export type LaneReason = 'lane_full' | 'lane_slow' | 'rate_limited' | 'breaker_open';

/** What became of a delivery that was handed to a lane. */
export type LaneAnswer =
  /** The receiver took it, or nothing will be sent any more: either way the lane is through with it. */
  | { kind: 'succeeded' }
  | { kind: 'failed' }
  /** The lane turned it away until then (ms since 1970). */
  | { kind: 'bounced'; reason: LaneReason; until: number }
  /** It came back for a reason that says nothing about the lane. */
  | { kind: 'returned' };

/** Null: it says nothing about the lane. */
export function laneAnswer(event: DeliveryEvent): LaneAnswer | null {
  switch (event.type) {
    case 'DeliveryRequested':
    case 'ShadowAttempted':
      return null;
    case 'DeliveryAttempted':
      return { kind: event.outcome };
    case 'DeliveryDeferred': {
      const { reason, until } = event;
      return isLaneReason(reason) ? { kind: 'bounced', reason, until } : { kind: 'returned' };
    }
    case 'DeliveryCancelled':
      return { kind: 'succeeded' };
    default:
      return unreachable(event);
  }
}

/**
 * True when the delivery waits for its lane, and so is parked; false when it waits for a time.
 *
 * `behind_key` is no matter of the lane: the head of a key is retried at a time, and what is behind it comes then.
 * Parked, it would be the oldest of its lane: always the first to be released, always turned away, and in the way of
 * every other key.
 */
export function isLaneReason(reason: DeliveryDeferred['reason']): reason is LaneReason {
  switch (reason) {
    case 'lane_full':
    case 'lane_slow':
    case 'rate_limited':
    case 'breaker_open':
      return true;
    case 'behind_key':
    case 'window_full':
    case 'shutdown':
    case 'config_unavailable':
      return false;
    default:
      return unreachable(reason);
  }
}

/** A new event or reason that nobody handles does not compile. */
function unreachable(value: never): never {
  throw new Error(`not handled: ${JSON.stringify(value)}`);
}
