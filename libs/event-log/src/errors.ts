/**
 * What appending and consuming can fail with. `retryable` says whether the same call may succeed later.
 *
 * | code              | retryable | meaning                                                                        |
 * |-------------------|-----------|--------------------------------------------------------------------------------|
 * | log_unavailable   | yes       | not acknowledged in time: the records may or may not be in the log             |
 * | log_queue_full    | yes       | refused at once: the memory bound on unacknowledged records is reached         |
 * | log_closed        | no        | the producer, consumer or log was closed                                       |
 * | ownership_lost    | yes       | a commit for a partition this member no longer owns                            |
 * | record_too_large  | no        | one record above the log's limit                                               |
 */
export type EventLogErrorCode =
  'log_unavailable' | 'log_queue_full' | 'log_closed' | 'ownership_lost' | 'record_too_large';

export class EventLogError extends Error {
  readonly retryable: boolean;

  constructor(
    readonly code: EventLogErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'EventLogError';
    this.retryable = code !== 'log_closed' && code !== 'record_too_large';
  }
}
