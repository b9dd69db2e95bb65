export {
  decide,
  parseReceiverWish,
  parseRetryAfter,
  type Attempted,
  type AttemptOutcome,
  type ReceiverWish,
} from './decide.js';
export {
  attemptOwed,
  evolve,
  fedDelivery,
  isSettled,
  pendingDelivery,
  type DeliveryState,
  type LastAttempt,
} from './delivery-state.js';
export { matches, type Filter, type Match, type Matchable } from './matching.js';
export { policySpanMs, retryDelaysMs } from './retry-policy.js';
