import { TAIL_PLACE_PATTERN } from '@posthaste/contracts';

/**
 * A place in the log of deliveries: of every partition the offset that comes next, and when the log was there. Its text
 * is the id of the stream's events, so whoever remembers the last one goes on anywhere, through any replica.
 */
export interface Place {
  /** When the log took the latest record before it, ms since 1970. */
  atMs: number;
  /** By partition. */
  next: number[];
}

const RADIX = 36;

export function placeText({ atMs, next }: Place): string {
  return [atMs, ...next].map((part) => part.toString(RADIX)).join('.');
}

/** Null for what is none. */
export function placeOf(text: string): Place | null {
  if (!TAIL_PLACE_PATTERN.test(text)) return null;
  const [atMs = 0, ...next] = text.split('.').map((part) => parseInt(part, RADIX));
  return [atMs, ...next].every(Number.isSafeInteger) ? { atMs, next } : null;
}
