import { z } from 'zod';

/**
 * One endpoint a message was routed to, with the version of the endpoint's configuration that matched. A route to a
 * feed is delivered by being in the log: nobody sends anything.
 */
export const Route = z.object({
  endpoint: z.string(),
  version: z.number().int(),
  feed: z.literal(true).optional(),
});
export type Route = z.infer<typeof Route>;

/** A record's `meta` header stays far below the log's limits: what has more routes is several records of one id. */
export const ROUTES_PER_RECORD = 500;

/**
 * What travels beside a payload in the log's `meta` header. The routes were decided when the message was accepted:
 * they are a fact, and nobody decides them again.
 */
export const MessageMeta = z.object({
  v: z.literal(1),
  id: z.string(),
  tenant: z.string(),
  account: z.string(),
  /** The event type's name, such as `invoice.paid`. */
  type: z.string(),
  channels: z.array(z.string()).optional(),
  tags: z.array(z.string()).optional(),
  /** Endpoints that order by key deliver messages of one key one after the other. */
  orderingKey: z.string().optional(),
  /** What the tenant calls the account, which some profiles show to the receiver; absent from older records. */
  subject: z.object({ uid: z.string(), name: z.string() }).optional(),
  contentType: z.string(),
  /** When the message was accepted, milliseconds since 1970. */
  at: z.number().int(),
  /** The account's configuration version the routes were decided at. */
  config: z.number().int(),
  /** Present when PostgreSQL could not be asked and a cache younger than 60 s decided. */
  staleConfig: z.literal(true).optional(),
  routes: z.array(Route),
});
export type MessageMeta = z.infer<typeof MessageMeta>;

/** Why an attempt is made. */
export const Trigger = z.enum(['publish', 'retry', 'resend', 'recover', 'backfill']);
export type Trigger = z.infer<typeof Trigger>;

/** True for an attempt that somebody asked for, beyond those of the retry policy. */
export function isRequested(trigger: Trigger): boolean {
  return trigger !== 'publish' && trigger !== 'retry';
}

/** The `meta` of a record on `due`: the message it belongs to, narrowed to one route, and the attempt now owed. */
export const DueMeta = MessageMeta.extend({
  attempt: z.number().int().positive(),
  trigger: Trigger,
  /**
   * Only with an ordering key: the message's place among the account's, and how far `deliveries` had been read when
   * this delivery was the first of its key. What is known of earlier ones from before then is out of date.
   */
  ordering: z.object({ position: z.number().int(), asOf: z.number().int() }).optional(),
  /** The message's position (`messagePosition`), which only its own record could tell. */
  position: z.string().optional(),
});
export type DueMeta = z.infer<typeof DueMeta>;

/** A message as it lies in the log: its facts and the payload's exact bytes. */
export interface AcceptedMessage {
  meta: MessageMeta;
  payload: Buffer;
}

/** A delivery whose time has come, with the payload it needs. */
export interface DueDelivery {
  meta: DueMeta;
  payload: Buffer;
}
