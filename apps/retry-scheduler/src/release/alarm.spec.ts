import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Alarm } from './alarm.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Sleeps, and says how long it was. */
async function slept(alarm: Alarm, ms: number): Promise<number> {
  const from = performance.now();
  await alarm.sleep(ms);
  return performance.now() - from;
}

describe('the alarm', () => {
  it('sleeps as long as it is told', async () => {
    const sleep = slept(new Alarm(), 1_000);
    await jest.advanceTimersByTimeAsync(5_000);
    expect(await sleep).toBe(1_000);
  });

  it('rings earlier when the time is brought forward, and never later', async () => {
    const alarm = new Alarm();
    const sleep = slept(alarm, 1_000);
    alarm.bringForward(performance.now() + 300);
    alarm.bringForward(performance.now() + 700);
    await jest.advanceTimersByTimeAsync(5_000);
    expect(await sleep).toBe(300);
  });

  it('remembers a time that was brought forward while nobody slept, for one sleep', async () => {
    const alarm = new Alarm();
    alarm.bringForward(performance.now() + 200);
    const first = slept(alarm, 1_000);
    await jest.advanceTimersByTimeAsync(5_000);
    expect(await first).toBe(200);
    const second = slept(alarm, 1_000);
    await jest.advanceTimersByTimeAsync(5_000);
    expect(await second).toBe(1_000);
  });
});
