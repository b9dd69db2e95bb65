import { beforeEach, describe, expect, it } from '@jest/globals';
import { type LaneJob, laneRules, type LaneSettings, type LaneVerdict } from './lane.js';
import { Lanes } from './lanes.js';

class TestJob implements LaneJob {
  enteredAt = 0;
  startedAt = 0;
  origin = '';
  isLost = false;
  isInTheWay = true;
  constructor(
    readonly endpoint: string,
    readonly name: string,
    readonly bytes = 1_000,
    readonly account = 'acc',
  ) {}
}

const settings: LaneSettings = { origin: 'https://a.example', rateLimit: null };

let now = 0;
let started: string[] = [];
let running: TestJob[] = [];
let overflowed: string[] = [];
let putOffUntil: number[] = [];
let lanes: Lanes<TestJob>;

interface Places {
  maxInFlight?: number;
  maxPerAccount?: number;
  maxPerOrigin?: number;
}

function open(places: Places = {}, onStart?: (job: TestJob) => void): void {
  now = 0;
  started = [];
  running = [];
  overflowed = [];
  putOffUntil = [];
  lanes = new Lanes({
    rules: laneRules,
    ...{ maxInFlight: 1_500, maxPerAccount: 1_500, maxPerOrigin: 1_500, ...places },
    start: (job) => {
      started.push(job.name);
      running.push(job);
      onStart?.(job);
    },
    overflow: (job, { reason, until }) => {
      overflowed.push(`${job.name} ${reason}`);
      putOffUntil.push(until);
    },
  });
}

function enter(endpoint: string, count: number, bytes?: number): TestJob[] {
  const jobs = Array.from({ length: count }, (_, i) => new TestJob(endpoint, `${endpoint}${i}`, bytes));
  for (const job of jobs) lanes.enter(job, settings, now);
  return jobs;
}
/** The jobs of the endpoint that were started first are answered, and what came of them is in the log. */
function complete(endpoint: string, times = 1, verdict: LaneVerdict = 'succeeded'): void {
  for (let i = 0; i < times; i++) lanes.recorded(answer(endpoint, verdict), now);
}
function answer(endpoint: string, verdict: LaneVerdict = 'succeeded'): TestJob {
  const at = running.findIndex((job) => job.endpoint === endpoint);
  const [job] = running.splice(at, 1);
  if (at < 0 || job === undefined) throw new Error(`nothing of ${endpoint} is running`);
  lanes.answered(job, verdict, now);
  return job;
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
    answer('hanging');
    enter('hanging', 5);
    expect(overflowed).toHaveLength(1);
  });

  it("let what is in nobody's way wait, as long as they move", () => {
    const alone = Array.from({ length: 1_200 }, (_, i) => new TestJob('a', `a${i}`));
    for (const job of alone) {
      job.isInTheWay = false;
      lanes.enter(job, settings, now);
    }
    now = 5_000;
    complete('a');
    lanes.sweep(now);
    expect(overflowed).toEqual([]);
    now = 6_999;
    lanes.sweep(now);
    expect(overflowed).toEqual([]);
    now = 7_000;
    lanes.sweep(now);
    expect(overflowed).toHaveLength(1_200 - 17);
    expect(new Set(overflowed.map((line) => line.split(' ')[1]))).toEqual(new Set(['lane_slow']));
  });

  it('let what only waits for its turn wait, and not what waits for its receiver or its server', () => {
    open({ maxInFlight: 8, maxPerAccount: 4, maxPerOrigin: 5 });
    const [hangs, elsewhere] = [settings, { origin: 'https://b.example', rateLimit: null }];
    const enterOne = (endpoint: string, account: string, where: LaneSettings): void => {
      const job = new TestJob(endpoint, `${endpoint} waits`, 1, account);
      job.isInTheWay = false;
      lanes.enter(job, where, now);
    };
    for (let i = 0; i < 5; i++) enterOne('hangs', 'acc', hangs);
    enterOne('turn', 'acc', elsewhere);
    enterOne('last place', 'other', hangs);
    enterOne('server', 'other', hangs);
    now = 60_000;
    lanes.sweep(now);
    expect(overflowed).toEqual(['hangs waits lane_slow', 'server waits lane_slow']);
    complete('hangs');
    expect(started.at(-1)).toBe('turn waits');
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
    lanes.enter(new TestJob('a', 'later'), settings, now);
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

  it('put off for longer each time, while nothing is completed', () => {
    enter('a', 16);
    const delays: number[] = [];
    for (let round = 0; round < 7; round++) {
      enter('a', 1);
      lanes.sweep((now += 2_000));
      delays.push((putOffUntil.at(-1) ?? 0) - now);
    }
    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    complete('a', 1, 'failed');
    enter('a', 2);
    lanes.sweep((now += 2_000));
    expect((putOffUntil.at(-1) ?? 0) - now).toBe(1_000);
  });

  it('share the places of the process by turns, whoever came first with many', () => {
    open({ maxInFlight: 2 });
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
    open({ maxInFlight: 2 });
    enter('a', 3);
    const [first] = [answer('a'), answer('a')];
    expect(started).toHaveLength(2);
    lanes.recorded(first, now);
    expect(started).toHaveLength(3);
  });

  it('drop unsent what came from a lost partition', () => {
    const jobs = enter('a', 20);
    for (const job of jobs.slice(17)) job.isLost = true;
    lanes.dropLost(now);
    expect(lanes.queued).toBe(1);
    for (const job of jobs) job.isLost = true;
    complete('a', 16);
    expect(started).toHaveLength(16);
    expect(overflowed).toEqual([]);
    expect(lanes.size).toBe(0);
  });

  it('survive thousands of jobs that end the moment they start', () => {
    open({ maxInFlight: 1 }, (job) => complete(job.endpoint));
    for (let i = 0; i < 900; i++) lanes.enter(new TestJob('a', `${i}`), settings, now);
    expect(started).toHaveLength(900);
    expect(lanes).toMatchObject({ size: 0, inFlight: 0 });
  });

  it('closed start nothing more and wait for what was started', async () => {
    enter('a', 20);
    let isIdle = false;
    const closing = lanes.close().then(() => (isIdle = true));
    complete('a', 15);
    await Promise.resolve();
    expect([started.length, isIdle]).toEqual([16, false]);
    complete('a');
    await closing;
    enter('b', 1);
    expect(started).toHaveLength(16);
  });

  it('give accounts turns, however many endpoints one of them has', () => {
    open({ maxInFlight: 4 });
    const many = Array.from({ length: 6 }, (_, i) => new TestJob(`m${i}`, `m${i}`, 1, 'many'));
    for (const job of many) lanes.enter(job, settings, now);
    for (const name of ['few0', 'few1']) lanes.enter(new TestJob('few', name, 1, 'few'), settings, now);
    expect(started).toEqual(['m0', 'm1', 'm2', 'm3']);
    for (const endpoint of ['m0', 'm1', 'm2', 'm3']) complete(endpoint);
    expect(started.slice(4)).toEqual(['m4', 'few0', 'm5', 'few1']);
  });

  it('keep an account, and a server, from holding all places', () => {
    open({ maxInFlight: 10, maxPerAccount: 4, maxPerOrigin: 5 });
    enter('a', 10);
    expect(started).toHaveLength(4);
    lanes.enter(new TestJob('b', 'b0', 1, 'other'), settings, now);
    lanes.enter(new TestJob('b', 'b1', 1, 'other'), settings, now);
    expect(started.slice(4)).toEqual(['b0']);
    const elsewhere = { ...settings, origin: 'https://b.example' };
    lanes.enter(new TestJob('c', 'c0', 1, 'other'), elsewhere, now);
    expect(started.slice(5)).toEqual(['c0']);
    complete('a');
    // Its account has a place again, its server has none.
    expect(started.slice(6)).toEqual(['b1']);
    complete('b', 2);
    expect(started.slice(7)).toEqual(['a4']);
  });

  it('stop calling an endpoint that failed ten times in a row, and put off what waited for it', () => {
    enter('a', 30);
    complete('a', 9, 'failed');
    expect(overflowed).toEqual([]);
    now = 1_000;
    complete('a', 1, 'failed');
    expect(overflowed).toEqual(['a25', 'a26', 'a27', 'a28', 'a29'].map((name) => `${name} breaker_open`));
    expect(putOffUntil).toEqual(Array.from({ length: 5 }, () => 31_000));
    complete('a', 15, 'failed');
    enter('a', 1);
    expect(overflowed.at(-1)).toBe('a0 breaker_open');
    expect(lanes).toMatchObject({ open: 1, size: 1, inFlight: 0 });
  });

  it('probe it with one request, and begin slowly when it is back', () => {
    enter('a', 16);
    complete('a', 16, 'failed');
    now = 30_000;
    enter('a', 3);
    expect(started.slice(16)).toEqual(['a0']);
    expect(overflowed).toEqual(['a1 breaker_open', 'a2 breaker_open']);
    complete('a');
    expect(lanes.open).toBe(0);
    const before = started.length;
    enter('a', 40);
    const inFlight = [];
    for (let round = 0; round < 4; round++) {
      inFlight.push(running.length);
      complete('a', running.length);
    }
    expect(inFlight).toEqual([1, 2, 4, 8]);
    expect(started.length).toBeGreaterThan(before);
  });

  it('ask less of an endpoint that times out, and more again as it answers', () => {
    enter('a', 16);
    now = 5_000;
    complete('a', 8, 'overloaded');
    complete('a', 8);
    enter('a', 60);
    expect(running).toHaveLength(8);
    complete('a', 20);
    expect(running).toHaveLength(9);
  });

  it('keep to the rate of an endpoint, and put off at once what would wait too long', () => {
    const limited = { ...settings, rateLimit: { count: 2, periodSeconds: 1 } };
    for (let i = 0; i < 8; i++) lanes.enter(new TestJob('a', `a${i}`), limited, now);
    expect(started).toEqual(['a0', 'a1']);
    expect(overflowed).toEqual(['a6 rate_limited', 'a7 rate_limited']);
    expect(putOffUntil).toEqual([3_000, 3_000]);
    complete('a', 2);
    lanes.sweep((now = 999));
    expect(started).toHaveLength(2);
    lanes.sweep((now = 1_000));
    expect(started).toEqual(['a0', 'a1', 'a2', 'a3']);
    lanes.enter(new TestJob('b', 'b0'), limited, now);
    expect(started.at(-1)).toBe('b0');
  });

  it('take a new rate, and a new server, as soon as the endpoint has one', () => {
    const slow = { ...settings, rateLimit: { count: 1, periodSeconds: 60 } };
    lanes.enter(new TestJob('a', 'a0'), slow, now);
    lanes.enter(new TestJob('a', 'a1'), slow, now);
    expect(overflowed).toEqual(['a1 rate_limited']);
    lanes.enter(new TestJob('a', 'a2'), { origin: 'https://b.example', rateLimit: null }, now);
    expect(running.map(({ name, origin }) => `${name} ${origin}`)).toEqual([
      'a0 https://a.example',
      'a2 https://b.example',
    ]);
    complete('a', 2);
    expect(lanes.size).toBe(0);
  });

  it('forget an endpoint that was down only long after its last request', () => {
    enter('a', 16);
    complete('a', 16, 'failed');
    lanes.sweep((now = 599_999));
    expect(lanes.size).toBe(1);
    lanes.sweep((now = 610_000));
    expect(lanes.size).toBe(0);
  });
});
