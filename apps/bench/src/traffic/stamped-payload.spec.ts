import { describe, expect, it } from '@jest/globals';
import { nowMs, readStamp, stampedPayload } from './stamped-payload.js';

describe('a stamped payload', () => {
  it('has the size asked for, is JSON, and gives its stamp back', () => {
    const stamp = { seq: 123_456, sentAtMs: Math.round(nowMs() * 1000) / 1000 };
    const payload = stampedPayload(stamp, 1024);
    expect(Buffer.byteLength(payload)).toBe(1024);
    expect(JSON.parse(payload)).toMatchObject({ seq: '000123456' });
    const read = readStamp(Buffer.from(payload));
    expect(read.seq).toBe(stamp.seq);
    expect(read.sentAtMs).toBeCloseTo(stamp.sentAtMs, 2);
  });
});
