export { EventLogError, type EventLogErrorCode } from './errors.js';
export { partitionKey } from './partition-key.js';
export { partitionOf } from './partitioner.js';
export {
  EventLog,
  type AssignedPartition,
  type Commit,
  type ConsumerHandlers,
  type ConsumerOptions,
  type EventLogHooks,
  type LogAdmin,
  type LogConsumer,
  type LogProducer,
  type LogReader,
  type OutgoingRecord,
  type PartitionRef,
  type Position,
  type RecordBatch,
  type StoredRecord,
  type TopicLayout,
} from './port.js';
export { runProjection, type ProjectionOptions, type RunningProjection } from './projection/projection.js';
export type { ProjectionBatch, ProjectionStore } from './projection/projection-store.js';
export { MemoryBroker } from './memory/memory-broker.js';
export { MemoryEventLog, type MemoryEventLogOptions } from './memory/memory-event-log.js';
export {
  PostgresProjection,
  type PostgresProjectionOptions,
  type RefusedRecord,
} from './projection/postgres-projection.js';
export { catchUpCheck } from './projection/catch-up-check.js';
export { endsOf, ProjectionPositions } from './projection/projection-positions.js';
export { PartitionWindow } from './partition-window.js';
export { openConfiguredLog, type LogConfig } from './open-configured-log.js';
export { openEventLog, type OpenEventLogOptions } from './open-event-log.js';
