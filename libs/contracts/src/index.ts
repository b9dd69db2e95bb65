export { attemptId, deliveryId, idPrefixes, isId, newId, type IdKind } from './ids.js';
export { DueMeta, MessageMeta, Route, Trigger, type AcceptedMessage, type DueDelivery } from './message.js';
export {
  ConfigState,
  EndpointState,
  RetryPolicy,
  SealedSecret,
  TenantState,
  WireProfile,
  WrappedKey,
} from './configuration.js';
export {
  AttemptErrorClass,
  AttemptResponse,
  CancelReason,
  Decision,
  DeliveryAttempted,
  DeliveryCancelled,
  DeliveryDeferred,
  DeliveryEvent,
  DeliveryStatus,
  attemptErrors,
  type Timings,
} from './events/delivery.js';
export { AuditEntry } from './events/audit.js';
export { topics, type Cleanup, type EncodedRecord, type Topic } from './topics.js';
export {
  HISTORY_PACKAGE,
  HISTORY_SERVICE,
  historyLoader,
  historyProtoPath,
  type DueDeliveryPayload,
  type GetById,
  type HistoryAttempt,
  type HistoryClient,
  type HistoryDelivery,
  type HistoryMessage,
  type HistoryPage,
  type ListDeliveriesRequest,
  type ListMessagesRequest,
  type PageRequest,
} from './history.js';
