import {
  type AcceptedMessage,
  deliveryId,
  type DueDelivery,
  type MessageMeta,
  type Route,
  type Trigger,
} from '@posthaste/contracts';
import type { LaneJob } from '../lanes/lane.js';
import type { TakenRecord } from './owned-partition.js';

/** One attempt owed: a route of a record, on its way through the process. */
export class Job implements LaneJob {
  readonly delivery: string;
  enteredAt = 0;
  startedAt = 0;
  origin = '';

  constructor(
    readonly message: MessageMeta,
    readonly payload: Buffer,
    readonly route: Route,
    readonly attempt: number,
    readonly trigger: Trigger,
    readonly trace: string | undefined,
    private readonly record: TakenRecord,
  ) {
    this.delivery = deliveryId(message.id, route.endpoint);
  }

  get endpoint(): string {
    return this.route.endpoint;
  }

  get account(): string {
    return this.message.account;
  }

  get bytes(): number {
    return this.payload.length;
  }

  get isLost(): boolean {
    return this.record.isLost;
  }

  get isInTheWay(): boolean {
    return this.record.isPartitionShared;
  }

  /** From here on something is being done about it: an attempt, or putting it off. */
  begin(): void {
    this.record.routeStarted();
  }

  /** What came of it is in the log, or nothing was to be done. */
  finish(): void {
    this.record.routeDone();
  }
}

/** The jobs of a record: a fresh message has one for each route, a due delivery exactly one. */
export function jobsOf(
  { meta, payload }: AcceptedMessage | DueDelivery,
  trace: string | undefined,
  record: TakenRecord,
): Job[] {
  const attempt = 'attempt' in meta ? meta.attempt : 1;
  const trigger = 'trigger' in meta ? meta.trigger : 'publish';
  return meta.routes.map((route) => new Job(meta, payload, route, attempt, trigger, trace, record));
}
