import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Position } from '../port.js';
import { defaultTuning } from './kafka-client.js';
import { KafkaProducer } from './kafka-producer.js';

describe('the Kafka producer, as it is set up for production, while no broker answers', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('holds 64 MB and refuses more at once, rejects after ten seconds, and has its room back', async () => {
    let requests = 0;
    const producer = new KafkaProducer({
      sender: { sendBatch: () => new Promise(() => void requests++) },
      partitionCount: async () => 6,
      tuning: defaultTuning,
      hooks: {},
    });
    const value = Buffer.alloc(900_000);
    const codes: (string | undefined)[] = [];
    const append = (n: number): Promise<Position[] | void> =>
      producer.append([{ topic: { name: 't' }, key: `key-${n}`, value }]).catch((error: { code: string }) => {
        codes[n] = error.code;
      });
    const appends = Array.from({ length: 80 }, (_, n) => append(n));
    await jest.advanceTimersByTimeAsync(9_900);
    const fitting = Math.floor((64 * 1024 * 1024) / value.length);
    expect(codes.filter((code) => code === 'log_queue_full')).toHaveLength(80 - fitting);
    expect(codes.filter((code) => code === 'log_unavailable')).toHaveLength(0);
    // One for each partition at most, however long it takes.
    expect(requests).toBeLessThanOrEqual(defaultTuning.sendsInFlight);
    await jest.advanceTimersByTimeAsync(200);
    await Promise.all(appends);
    expect(codes.filter((code) => code === 'log_unavailable')).toHaveLength(fitting);
    const late = append(80);
    await jest.advanceTimersByTimeAsync(10_100);
    await late;
    expect(codes[80]).toBe('log_unavailable');
  });
});
