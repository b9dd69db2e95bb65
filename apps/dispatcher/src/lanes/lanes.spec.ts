import { beforeEach, describe, expect, it } from '@jest/globals';
import { type LaneJob, laneRules } from './lane.js';
import { Lanes } from './lanes.js';

class TestJob implements LaneJob {
  enteredAt = 0;
  isLost = false;
  isInTheWay = true;
  constructor(
    readonly endpoint: string,
    readonly name: string,
    readonly bytes = 1_000,
  ) {}
}

let now = 0;
let started: string[] = [];
let overflowed: string[] = [];
let lanes: Lanes<TestJob>;

function open(maxInFlight = 1_500, onStart?: (job: TestJob) => void): void {
  now = 0;
  started = [];
  overflowed = [];
  lanes = new Lanes({
    rules: laneRules,
    maxInFlight,
    start: (job) => {
      started.push(job.name);
      onStart?.(job);
    },
    overflow: (job, reason) => overflowed.push(`${job.name} ${reason}`),
  });
}

function enter(endpoint: string, count: number, bytes?: number): TestJob[] {
  const jobs = Array.from({ length: count }, (_, i) => new TestJob(endpoint, `${endpoint}${i}`, bytes));
  for (const job of jobs) lanes.enter(job, now);
  return jobs;
}
function complete(endpoint: string, times = 1): void {
  for (let i = 0; i < times; i++) {
    lanes.answered(endpoint, now);
    lanes.recorded();
  }
}

describe('lanes', () => {
  beforeEach(() => open());

  it('send 16 at a time to one endpoint, in order, and the next as one is answered', () => {
    enter('a', 20);
    expect(started).toHaveLength(16);
    complete('a', 2);
    expect(started).toEqual(Array.from({ length: 18 }, (_, i) => `a${i}`));
    complete('a', 18);
    expect(lanes).toMatchObject({ size: 0, inFlight: 0, queued: 0 });
  });

  it('keep what came for an endpoint that answers, and put off the excess of one that hangs', () => {
    enter('moving', 400);
    expect(overflowed).toEqual([]);
    enter('hanging', 16);
    now = 250;
    enter('hanging', 101);
    expect(overflowed).toEqual(['hanging100 lane_full']);
    lanes.answered('hanging', now);
    enter('hanging', 5);
    expect(overflowed).toHaveLength(1);
  });

  it("let what is in nobody's way wait, as long as they move", () => {
    const alone = Array.from({ length: 1_200 }, (_, i) => new TestJob('a', `a${i}`));
    for (const job of alone) {
      job.isInTheWay = false;
      lanes.enter(job, now);
    }
    now = 5_000;
    complete('a');
    lanes.sweep(now);
    expect(overflowed).toEqual([]);
    now = 5_250;
    lanes.sweep(now);
    expect(overflowed).toHaveLength(1_200 - 17);
    expect(new Set(overflowed.map((line) => line.split(' ')[1]))).toEqual(new Set(['lane_slow']));
  });

  it('put off by bytes too, but never a single large one', () => {
    enter('a', 16);
    now = 250;
    enter('a', 3, 400_000);
    expect(overflowed).toEqual(['a2 lane_full']);
    enter('b', 1, 9_000_000);
    expect(started.at(-1)).toBe('b0');
  });

  it('put off what waited two seconds, and nothing sooner', () => {
    enter('a', 18);
    now = 1;
    lanes.enter(new TestJob('a', 'later'), now);
    lanes.sweep(1_999);
    expect(overflowed).toEqual([]);
    lanes.sweep(2_000);
    expect(overflowed).toEqual(['a16 lane_slow', 'a17 lane_slow']);
    lanes.sweep(2_001);
    expect(overflowed.at(-1)).toBe('later lane_slow');
    expect(lanes.queued).toBe(0);
    complete('a', 16);
    expect(lanes.size).toBe(0);
  });

  it('share the places of the process by turns, whoever came first with many', () => {
    open(2);
    enter('a', 10);
    enter('b', 3);
    expect(started).toEqual(['a0', 'a1']);
    complete('a', 1);
    complete('a', 1);
    complete('b', 1);
    complete('a', 1);
    expect(started).toEqual(['a0', 'a1', 'a2', 'b0', 'a3', 'b1']);
  });

  it('hold a place of the process until the attempt is in the log', () => {
    open(2);
    enter('a', 3);
    lanes.answered('a', now);
    lanes.answered('a', now);
    expect(started).toHaveLength(2);
    lanes.recorded();
    expect(started).toHaveLength(3);
  });

  it('drop unsent what came from a lost partition', () => {
    const jobs = enter('a', 20);
    for (const job of jobs.slice(17)) job.isLost = true;
    lanes.dropLost();
    expect(lanes.queued).toBe(1);
    for (const job of jobs) job.isLost = true;
    complete('a', 16);
    expect(started).toHaveLength(16);
    expect(overflowed).toEqual([]);
    expect(lanes.size).toBe(0);
  });

  it('survive thousands of jobs that end the moment they start', () => {
    open(1, (job) => complete(job.endpoint));
    for (let i = 0; i < 900; i++) lanes.enter(new TestJob('a', `${i}`), now);
    expect(started).toHaveLength(900);
    expect(lanes).toMatchObject({ size: 0, inFlight: 0 });
  });

  it('drained start nothing more and wait for what was started', async () => {
    enter('a', 20);
    let drained: boolean | undefined;
    const draining = lanes.drain(60_000).then((done) => (drained = done));
    complete('a', 15);
    await Promise.resolve();
    expect([started.length, drained]).toEqual([16, undefined]);
    complete('a');
    await draining;
    expect(drained).toBe(true);
    enter('b', 1);
    expect(started).toHaveLength(16);
  });

  it('drained in vain say so', async () => {
    enter('a', 1);
    await expect(lanes.drain(1)).resolves.toBe(false);
  });
});
