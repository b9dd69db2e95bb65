export {
  attemptId,
  causedMessageId,
  deliveriesOf,
  deliveryId,
  digitOf,
  idPrefixes,
  isId,
  lowestId,
  newId,
  type IdKind,
} from './ids.js';
export {
  DueMeta,
  isRequested,
  MessageMeta,
  Route,
  ROUTES_PER_RECORD,
  Trigger,
  type AcceptedMessage,
  type DueDelivery,
} from './message.js';
export { messagePosition, POSITION_PATTERN } from './position.js';
export {
  AssertionAlgorithm,
  ClientCertificate,
  ConfigState,
  EndpointMode,
  EndpointState,
  OAuthClient,
  OnExhausted,
  Ordering,
  PublicJwk,
  RateLimit,
  RetryPolicy,
  SealedSecret,
  SecretKind,
  SignatureVersion,
  TenantState,
  WireProfile,
  WrappedKey,
} from './configuration.js';
export {
  AttemptErrorClass,
  CancelReason,
  Decision,
  DeliveryAttempted,
  DeliveryCancelled,
  DeliveryDeferred,
  DeliveryEvent,
  DeliveryRequested,
  DeliveryStatus,
  ShadowAttempted,
  attemptErrors,
  type Timings,
  type TlsFacts,
} from './events/delivery.js';
export { HealthFact, healthFactOf } from './events/health.js';
export { OperatorEvent } from './events/operator.js';
export { AuditEntry } from './events/audit.js';
export { topics, type Cleanup, type EncodedRecord, type Topic } from './topics.js';
export {
  DISPATCH_PACKAGE,
  DISPATCH_SERVICE,
  dispatchClientTransport,
  type DispatchClient,
  type SendTestReply,
  type SendTestRequest,
} from './dispatch.js';
export {
  HISTORY_PACKAGE,
  HISTORY_SERVICE,
  historyClientTransport,
  historyTransport,
  type CompareReceivedReply,
  type CompareReceivedRequest,
  type DueDeliveryPayload,
  type EndpointStatsReply,
  type EndpointStatsRequest,
  type FeedHead,
  type GetAsOf,
  type GetById,
  type HistoryAttempt,
  type HistoryClient,
  type HistoryDelivery,
  type HistoryFeedItem,
  type HistoryFeedPage,
  type HistoryMeant,
  type HistoryMessage,
  type HistoryPage,
  type HistoryStats,
  type LastAttemptRequest,
  type ListAccountAttemptsRequest,
  type ListDeliveriesRequest,
  type ListMeantRequest,
  type ListMessagesRequest,
  type MeantRange,
  type PageRequest,
  type PayloadMatch,
  type ReadFeedRequest,
  type RoutesReply,
  type RoutesRequest,
  type ShredPayloadReply,
  type ShredPayloadRequest,
} from './history.js';
export {
  REPLAYS_SERVICE,
  type HistoryReplay,
  type ListReplaysRequest,
  type ReplayFilter,
  type ReplayKind,
  type ReplayNames,
  type ReplayReply,
  type ReplaysClient,
  type ReplayStatus,
  type StartReplayRequest,
  type SteerReplayRequest,
} from './replays.js';
export {
  AUDIT_TREE_SERVICE,
  type AuditTreeClient,
  type ConsistencyReply,
  type ConsistencyRequest,
  type InclusionReply,
  type InclusionRequest,
  type ListTreeEntriesRequest,
  type SignedHeadReply,
  type StoredTreeEntry,
  type TreeEntriesReply,
} from './audit-tree.js';
export { clientChannel, grpcLoader, protoPath } from './grpc.js';
export {
  SCHEDULE_PACKAGE,
  SCHEDULE_SERVICE,
  scheduleClientTransport,
  type OwedKey,
  type OwedKeysReply,
  type OwedKeysRequest,
  type ScheduleClient,
} from './schedule.js';
export {
  VISIBLE_ASCII_PATTERN,
  EVENT_TYPE_PATTERN,
  IDEMPOTENCY_KEY_PATTERN,
  LABEL_PATTERN,
  PublishBatch,
  PublishedBatch,
  PublishedMessage,
  PublishMessage,
  publishLimits,
} from './http/publish.js';
export { Account, PatchAccount, PutAccount } from './http/account.js';
export {
  CreateEndpoint,
  Endpoint,
  EndpointInput,
  EndpointSecret,
  EndpointWithHealth,
  PatchEndpoint,
  RotateSecret,
  type EndpointHealth,
  SecretQuery,
  SendTest,
  SigningSecret,
  TextSecret,
} from './http/endpoint.js';
export {
  EndpointAsOf,
  EndpointAsOfQuery,
  EndpointVersion,
  EndpointVersionList,
} from './http/endpoint-version.js';
export { ExplainQuery, Explanation, ExplainedEndpoint, ExplainRule } from './http/explain.js';
export { FEED_SEQUENCE_PATTERN, FeedItem, FeedList, FeedQuery, FeedStreamQuery } from './http/feed.js';
export { ClientCertificateInput, ClientCertificateView, OAuthInput, OAuthView } from './http/oauth.js';
export { customHeaderRule } from './http/custom-headers.js';
export {
  AuditCheckpoint,
  AuditEntriesQuery,
  AuditEntryList,
  ConsistencyProof,
  ConsistencyQuery,
  InclusionProof,
  InclusionQuery,
  LoggedEntry,
} from './http/audit.js';
export { CreateEventType, EventType, EventTypeName, PatchEventType } from './http/event-type.js';
export { UID_PATTERN, Uid } from './http/names.js';
export { listOf, PageQuery, ProblemDetails } from './http/paging.js';
export {
  ApiKey,
  CreateKey,
  CreateTenant,
  NewApiKey,
  PatchTenant,
  Permission,
  Tenant,
} from './http/tenant.js';
export { MASKED, PutSource, Source, SourceState } from './http/source.js';
export { Backfill, CreateReplay, Recover, Replay, ReplayList } from './http/replay.js';
export {
  CompareReceived,
  MeantList,
  MeantMessage,
  ReceivedComparison,
  ReconcileQuery,
} from './http/reconcile.js';
export { EndpointStats, StatsQuery, StatsResolution } from './http/stats.js';
export { TAIL_PLACE_PATTERN, TailedAttempt, TailQuery } from './http/tail.js';
export { AccountUsage, UsageQuery } from './http/usage.js';
export {
  Attempt,
  AttemptList,
  AttemptsQuery,
  DeliveriesQuery,
  Delivery,
  DeliveryList,
  ListedAttempt,
  ListedAttemptList,
  Message,
  MessageDeliveriesQuery,
  MessageList,
  MessagesQuery,
  type ShadowReport,
} from './http/history.js';
