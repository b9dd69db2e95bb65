import type { Quantiles } from './quantiles.js';

/** What the coordinator asks of its workers, and what they answer. Each is a process of its own. */
export interface PublishTarget {
  url: string;
  /** Around the payload, in the body. */
  prefix: string;
  suffix: string;
}

export interface ReadTarget {
  url: string;
  /** The reads of one kind are told apart from the others. */
  kind: string;
}

/** Closed loop: this many at a time. Open loop: this many a second, whatever the answers do. */
export type Pace = { inFlight: number } | { perSecond: number };

interface LoadOrder {
  headers: Record<string, string>;
  count: number;
  pace: Pace;
}

export interface GenerateOrder extends LoadOrder {
  /** They take turns: message n goes to number n modulo their count. All at one origin. */
  targets: PublishTarget[];
  payloadBytes: number;
  /** Each message has an `Idempotency-Key` that begins so; with `repeat` it is sent again once it is answered. */
  keyed?: { prefix: string; repeat: boolean };
}

export interface ReadOrder extends LoadOrder {
  targets: ReadTarget[];
}

/** Clients that follow the same stream of server-sent events. */
export interface WatchOrder {
  url: string;
  headers: Record<string, string>;
  clients: number;
}

/** The end of the watching: when the clients have so many attempts each, or this long nothing came. */
export interface WatchedOrder {
  expected: number;
  patienceMs: number;
}

export interface GeneratedReport {
  accepted: number;
  /** The numbers of the messages that were not answered 2xx. */
  refused: number[];
  /** Answers by status; `error` for none. */
  answers: Record<string, number>;
  firstAcceptedAtMs: number;
  lastAcceptedAtMs: number;
  acceptMs: Quantiles;
  /** What was sent again under its key: how often the answer was another than the first time. */
  repeats: { differed: number; acceptMs: Quantiles } | null;
}

export interface ReadReport {
  answers: Record<string, number>;
  /** Not answered 2xx. */
  refused: number;
  answerMs: Quantiles;
  byKind: Record<string, Quantiles>;
}

export interface WatchedReport {
  /** All clients' events together. */
  events: number;
  /** Attempts that a client did not get, and that it got again, over all clients. */
  missing: number;
  repeated: number;
  /** Streams that ended before the watching did. */
  ended: number;
  firstAtMs: number;
  lastAtMs: number;
  /** From the end of an attempt until a client had it. */
  lagMs: Quantiles;
}

/**
 * What a receiver does with a request: answers 200 at once; answers 500 at once; never answers; begins an answer whose
 * headers come a byte a second and never end; answers 500 after ten seconds; or is not there at all.
 */
export type Behaviour = 'prompt' | 'fail' | 'hang' | 'drip' | 'late-500' | 'refuse';

/** What a receiver is to expect: the messages 0 to `messages - 1`, each at so many endpoints. */
export interface Expected {
  messages: number;
  /** An endpoint's number is its URL's path; with one endpoint there is no path. */
  endpoints: number;
}

export interface CollectOrder {
  /** Which receiver, by its URL. */
  receiver: string;
  /** How many distinct arrivals are awaited. */
  expected: number;
  /** Waiting ends when this long nothing came. */
  patienceMs: number;
  /** The run's parts are told apart: where the second begins, the third, and so on. */
  partsAt: number[];
}

export interface CollectedReport {
  received: number;
  distinct: number;
  duplicates: number;
  /** Message number times endpoints, plus the endpoint's number. */
  missing: number[];
  /** 0 when nothing came. */
  firstReceivedAtMs: number;
  lastReceivedAtMs: number;
  /** From the moment a message was, or should have been, sent until its first arrival. */
  endToEndMs: Quantiles;
  parts: CollectedPart[];
}

export interface CollectedPart {
  /** When the last of its messages to arrive first did; 0 when none did. */
  completeAtMs: number;
  endToEndMs: Quantiles;
}

export type WorkerOrder =
  | { kind: 'generate'; order: GenerateOrder }
  | { kind: 'read'; order: ReadOrder }
  /** Answers when every client's stream has begun. */
  | { kind: 'watch'; order: WatchOrder }
  | { kind: 'watched'; order: WatchedOrder }
  /** Answers the URL of a new receiver. */
  | { kind: 'listen'; behaviour: Behaviour }
  | { kind: 'behave'; receiver: string; behaviour: Behaviour }
  /** Every receiver forgets what arrived. */
  | { kind: 'reset'; expected: Expected }
  | { kind: 'collect'; order: CollectOrder };
