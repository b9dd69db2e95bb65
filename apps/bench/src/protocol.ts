import type { Quantiles } from './quantiles.js';

/** What the coordinator asks of its two workers, and what they answer. Both are processes of their own. */
export interface PublishTarget {
  url: string;
  /** Around the payload, in the body. */
  prefix: string;
  suffix: string;
}

export interface GenerateOrder {
  /** They take turns: message n goes to number n modulo their count. All at one origin. */
  targets: PublishTarget[];
  headers: Record<string, string>;
  payloadBytes: number;
  count: number;
  /** Closed loop: this many at a time. Open loop: this many a second, whatever the answers do. */
  pace: { inFlight: number } | { perSecond: number };
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
}

/**
 * What a receiver does with a request: answers 200 at once; never answers; begins an answer whose headers come a byte a
 * second and never end; answers 500 after ten seconds; or is not there at all.
 */
export type Behaviour = 'prompt' | 'hang' | 'drip' | 'late-500' | 'refuse';

export interface CollectOrder {
  /** Which receiver, by its URL. */
  receiver: string;
  /** How many distinct messages are awaited. */
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
  missing: number[];
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
  /** Answers the URL of a new receiver. */
  | { kind: 'listen'; behaviour: Behaviour }
  | { kind: 'behave'; receiver: string; behaviour: Behaviour }
  /** Every receiver forgets what arrived, and expects the messages 0 to capacity - 1. */
  | { kind: 'reset'; capacity: number }
  | { kind: 'collect'; order: CollectOrder };
