import {
  type AcceptedMessage,
  deliveryId,
  type DueDelivery,
  type MessageMeta,
  messagePosition,
  type Route,
  type Trigger,
} from '@posthaste/contracts';
import type { LaneJob } from '@posthaste/delivery';
import type { OrderingJob } from '../ordering/ordering.js';
import type { TakenRecord } from './owned-partition.js';

/** One attempt owed: a route of a record, on its way through the process. */
export class Job implements LaneJob, OrderingJob {
  readonly delivery: string;
  /** Its endpoint orders by key, and its message has one. */
  isOrdered = false;
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
    /** Its message's place among the account's; -1: not known. */
    readonly position: number,
    readonly asOf: number | undefined,
    /** The same as receivers are told it; undefined: not known. */
    readonly place: string | undefined,
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

  get orderingKey(): string {
    return this.message.orderingKey ?? '';
  }

  /** As its events say it. */
  get ordering(): { key: string; position: number } | undefined {
    return this.isOrdered ? { key: this.orderingKey, position: this.position } : undefined;
  }

  get partition(): number {
    return this.record.partitionNumber;
  }

  get bytes(): number {
    return this.payload.length;
  }

  get isLost(): boolean {
    return this.record.isLost;
  }

  get isInTheWay(): boolean {
    return this.record.isInTheWay;
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

/** The routes something is sent on. What is routed to a feed has arrived by being in the log. */
export function sentRoutes({ routes }: MessageMeta): readonly Route[] {
  return routes.some(({ feed }) => feed) ? routes.filter(({ feed }) => !feed) : routes;
}

/** The jobs of a record: a fresh message has one for each route, a due delivery exactly one. */
export function jobsOf(
  { meta, payload }: AcceptedMessage | DueDelivery,
  routes: readonly Route[],
  trace: string | undefined,
  record: TakenRecord,
): Job[] {
  const isDue = 'attempt' in meta;
  const attempt = isDue ? meta.attempt : 1;
  const trigger = isDue ? meta.trigger : 'publish';
  const position = isDue ? (meta.ordering?.position ?? -1) : record.offset;
  const asOf = isDue ? meta.ordering?.asOf : undefined;
  const place = isDue ? meta.position : messagePosition(record.partitionNumber, record.offset);
  return routes.map(
    (route) => new Job(meta, payload, route, attempt, trigger, trace, position, asOf, place, record),
  );
}
