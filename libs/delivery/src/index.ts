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
  isSettledStatus,
  pendingDelivery,
  type DeliveryState,
  type LastAttempt,
} from './delivery-state.js';
export { laneAnswer, isLaneReason, type LaneAnswer, type LaneReason } from './lanes/lane-answer.js';
export { LanePace } from './lanes/lane-pace.js';
export { laneRules, type LaneJob, type LaneSettings, type LaneVerdict, type Overflow } from './lanes/lane.js';
export { Lanes } from './lanes/lanes.js';
export { OutageSimulation, type OutageMinute, type OutagePlan } from './lanes/outage-simulation.js';
export { matches, unfilterableBy, type Filter, type Match, type Matchable } from './matching.js';
export { policySpanMs, retryDelaysMs } from './retry-policy.js';
