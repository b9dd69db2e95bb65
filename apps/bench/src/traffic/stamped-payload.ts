/**
 * The payload every run sends: JSON of an exact size with its number and the moment it was sent at fixed places, so
 * that the receiver reads both without parsing. Moments are `performance.timeOrigin + performance.now()`: the same
 * clock in every process of one machine, finer than a millisecond.
 */
const SEQ_AT = '{"seq":"'.length;
const SEQ_CHARS = 9;
const SENT_AT = SEQ_AT + SEQ_CHARS + '","sent_at":"'.length;
const SENT_CHARS = 17;

export interface Stamp {
  seq: number;
  sentAtMs: number;
}

export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

export function stampedPayload({ seq, sentAtMs }: Stamp, bytes: number): string {
  const start = `{"seq":"${String(seq).padStart(SEQ_CHARS, '0')}","sent_at":"${sentAtMs.toFixed(3)}","pad":"`;
  return `${start}${'x'.repeat(Math.max(0, bytes - start.length - 2))}"}`;
}

export function readStamp(payload: Buffer): Stamp {
  const digits = (from: number, chars: number): number =>
    Number(payload.toString('latin1', from, from + chars));
  return { seq: digits(SEQ_AT, SEQ_CHARS), sentAtMs: digits(SENT_AT, SENT_CHARS) };
}
