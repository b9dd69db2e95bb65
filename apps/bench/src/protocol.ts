import type { Quantiles } from './quantiles.js';

/** What the coordinator asks of its two workers, and what they answer. Both are processes of their own. */
export interface GenerateOrder {
  url: string;
  /** Around each payload. */
  prefix: string;
  suffix: string;
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

export interface CollectOrder {
  /** How many distinct messages are awaited. */
  expected: number;
  /** Waiting ends when this long nothing came. */
  patienceMs: number;
}

export interface CollectedReport {
  received: number;
  distinct: number;
  duplicates: number;
  missing: number[];
  lastReceivedAtMs: number;
  /** From the moment a message was, or should have been, sent until its first arrival. */
  endToEndMs: Quantiles;
}

export type WorkerOrder =
  | { kind: 'generate'; order: GenerateOrder }
  | { kind: 'listen' }
  | { kind: 'reset'; capacity: number }
  | { kind: 'collect'; order: CollectOrder };
