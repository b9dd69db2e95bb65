import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DueDelivery } from '@posthaste/contracts';
import { waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { ParkingLot } from '../parking/parking-lot.js';
import { answerTo, ReleaseStage, turnedAway } from '../proving/release-stage.js';
import { deliveryOf, sampleMessage } from '../sample-facts.js';
import { releaseDue, releaseParked, type ReleaseParts } from './release-batch.js';
import { HandOverPace } from './hand-over-pace.js';
import { ReleaseLoop } from './release-loop.js';
import { listParkedLanes } from './sql/list-parked-lanes.js';

const MANY = 100_000;
let stage: ReleaseStage;
/** Simulated, for the lots of these tests. */
let now: number;
let lot: ParkingLot;
let parts: ReleaseParts;
let bounces: number;

beforeAll(async () => {
  stage = await ReleaseStage.open();
}, 60_000);
afterAll(() => stage.close());
beforeEach(async () => {
  await stage.reset();
  [now, bounces] = [0, 0];
  lot = newLot();
  parts = stage.parts({ lot, payloads: stage.everything });
});

function newLot(): ParkingLot {
  return new ParkingLot({ now: () => now, onBounce: () => bounces++ });
}

const endpointOfDue = ({ meta }: DueDelivery): string => meta.routes[0]?.endpoint ?? '';

/** What the loop does when it wakes: both kinds by turns, until there is no more. Answers what was handed over. */
async function wake(over = parts, eachTurn?: () => void): Promise<DueDelivery[]> {
  const from = stage.appended.length;
  let more = true;
  while (more) {
    const timed = await releaseDue(over);
    more = (await releaseParked(over)).more || timed.more;
    eachTurn?.();
  }
  return stage.appended.slice(from);
}

describe('a lane with 100,000 parked deliveries', () => {
  it('costs its probes while it is down: one delivery out in each half minute, and steps in an index', async () => {
    await stage.fillIndex(MANY, 'ep_down', true);
    lot.park(await listParkedLanes(stage.pool));
    const statements: string[] = [];
    const counted = { ...parts, pool: counting(stage.pool, statements) };
    // The lane is known to be down; each probe fails, and the next delivery is turned away for 30 s.
    const [first] = await wake();
    if (!first) throw new Error('nothing was released');
    for (const due of stage.appended.splice(0)) lot.notice(turnedAway(due, 'breaker_open', 30_000));
    const HOUR_S = 3_600;
    for (let second = 0; second < HOUR_S; second++, now += 1_000) {
      if (lot.msUntilRoom() > 0) continue;
      for (const due of await wake(counted)) {
        lot.notice(answerTo(due, { kind: 'retry', at: Date.now() + 3_600_000 }));
        for (const next of await wake(counted)) lot.notice(turnedAway(next, 'breaker_open', 30_000));
      }
    }
    const probes = HOUR_S / 30 - 1;
    expect(stage.appended).toHaveLength(2 * probes);
    // Each of them: its turn and the look for what is due.
    expect(statements.length).toBeLessThan(2 * probes * 10);
    expect(await stage.countOf('parked')).toBe(MANY - 20 - 2 * probes);
  }, 60_000);

  it('is drained at the pace it takes: slowly at first, then by rounds that double, and others are served', async () => {
    await stage.fillIndex(20_000, 'ep_back', true);
    lot.park(['ep_back']);
    lot.notice(turnedAway({ meta: madeUp('ep_back') } as DueDelivery, 'breaker_open', 30_000));
    expect(await wake()).toEqual([]);
    now = 30_000;
    const rounds: number[] = [];
    let others = 0;
    for (let round = 0; round < 12; round++, now += 500) {
      await stage.fillIndex(1, `ep_other${round}`);
      const released = await wake();
      const ofLane = released.filter((due) => endpointOfDue(due) === 'ep_back');
      others += released.length - ofLane.length;
      rounds.push(ofLane.length);
      for (const due of ofLane) lot.notice(answerTo(due, { kind: 'delivered' }));
    }
    expect(rounds).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_000]);
    expect(others).toBe(12);
    const order = stage.appended.filter((due) => endpointOfDue(due) === 'ep_back').map(({ meta }) => meta.id);
    expect(order).toEqual([...order].sort());
  }, 60_000);

  it('is drained by the replica that sees its answers; one that does not adds its first window and no more', async () => {
    await stage.fillIndex(10_000, 'ep_back', true);
    const blind = stage.parts({ lot: newLot(), payloads: stage.everything });
    let ofBlind = 0;
    for (let round = 0; round < 20 && (await stage.countOf('true')) > 0; round++, now += 500) {
      for (const replica of [parts, blind]) replica.lot.park(await listParkedLanes(stage.pool));
      const [seeing, unseeing] = await Promise.all([wake(), wakeAlone(blind)]);
      ofBlind += unseeing;
      for (const due of seeing) lot.notice(answerTo(due, { kind: 'delivered' }));
    }
    expect(ofBlind).toBe(20);
    expect(new Set(stage.released()).size).toBe(10_000);
    expect(stage.appended).toHaveLength(10_000);
  }, 60_000);

  it('of an endpoint that was deleted is drained by doubling too: a cancellation is an answer', async () => {
    await stage.fillIndex(3_000, 'ep_gone', true);
    lot.park(['ep_gone']);
    let rounds = 0;
    for (; (await stage.countOf('true')) > 0; rounds++, now += 500) {
      for (const due of await wake()) {
        lot.notice({
          ...turnedAway(due, 'lane_full'),
          type: 'DeliveryCancelled',
          reason: 'endpoint_deleted',
        });
      }
      if (rounds > 20) break;
    }
    expect(rounds).toBeLessThan(10);
  }, 60_000);
});

describe('a storm of 100,000 due attempts of one endpoint', () => {
  it('is parked, and 30 of others are out within 30 turns', async () => {
    await stage.fillIndex(MANY, 'ep_storm');
    await Promise.all(Array.from({ length: 30 }, (_, n) => stage.fillIndex(1, `ep_other${n}`)));
    await stage.pool.query(`update schedule.due set due_at = due_at + 60000 where endpoint <> 'ep_storm'`);
    let turns = 0;
    const ofOthers = (): number => stage.appended.filter((due) => endpointOfDue(due) !== 'ep_storm').length;
    while (ofOthers() < 30 && turns < 30) {
      turns++;
      await releaseDue(parts);
      await releaseParked(parts);
    }
    expect(ofOthers()).toBe(30);
    expect(stage.appended).toHaveLength(50);
    expect(await stage.countOf('parked')).toBe(MANY - 20);
    expect(lot.lanes).toBe(1);
  }, 60_000);
});

describe('an attempt that is due', () => {
  it('is parked while its lane has others parked, and released in their order', async () => {
    const endpoint = 'ep_one';
    await stage.fillIndex(3, endpoint);
    lot.park([endpoint]);
    expect(await releaseDue(parts)).toMatchObject({ released: 0, parked: 3 });
    expect(await releaseParked(parts)).toMatchObject({ kind: 'parked', released: 3, more: false });
    expect(lot.lanes).toBe(0);
  });

  it('that history does not know for long leaves the lane to the others, and waits for a time again', async () => {
    const [unknown, known] = [sampleMessage('ep_x'), sampleMessage('ep_x')];
    await stage.owe([unknown], { isKnown: false, reason: 'lane_full' });
    await stage.owe([known], { reason: 'lane_slow', dueInMs: 3_600_000 });
    const own = stage.parts({ lot });
    lot.park(['ep_x']);
    expect(await releaseParked(own)).toMatchObject({ released: 1, postponed: 1, more: false });
    expect(await stage.indexed('not parked')).toEqual([deliveryOf(unknown)]);
  });

  it.each(['timed', 'parked'])(
    'that history does not know yet makes its lane wait a second: %s',
    async (kind) => {
      const young = Array.from({ length: 150 }, () => sampleMessage('ep_young', Date.now()));
      await stage.owe(young, { isKnown: false, reason: kind === 'parked' ? 'lane_full' : null });
      const own = stage.parts({ lot });
      lot.park(kind === 'parked' ? ['ep_young'] : []);
      expect(await wake(own)).toEqual([]);
      // History is not asked for what comes behind them.
      expect(stage.asked.flat()).toHaveLength(20);
      expect(await stage.countOf('parked')).toBe(kind === 'parked' ? 150 : 130);
      expect(lot.msUntilRoom()).toBe(1_000);
      now = 1_000;
      await stage.owe(young, { reason: 'lane_full' });
      expect(await wake(own)).toHaveLength(20);
    },
  );

  it.each(['timed', 'parked'])(
    'is released again, once, after a death between append and commit: %s',
    async (kind) => {
      await stage.fillIndex(10, 'ep_ten', kind === 'parked');
      lot.park(kind === 'parked' ? ['ep_ten'] : []);
      const release = kind === 'parked' ? releaseParked : releaseDue;
      await expect(release({ ...parts, pool: stage.dyingAtCommit() })).rejects.toThrow();
      const before = stage.released();
      expect(before).toHaveLength(10);
      expect(await release(parts)).toMatchObject({ released: 10 });
      expect(stage.released()).toEqual([...before, ...before].sort());
      expect(await stage.countOf('true')).toBe(0);
    },
  );

  it.each(['timed', 'parked'])('keeps its place when the log is away: %s', async (kind) => {
    await stage.fillIndex(60, 'ep_sixty', kind === 'parked');
    lot.park(kind === 'parked' ? ['ep_sixty'] : []);
    const append = () => Promise.reject(new Error('the log is away'));
    const release = kind === 'parked' ? releaseParked : releaseDue;
    await expect(release({ ...parts, producer: { append } })).rejects.toThrow('away');
    expect(await stage.countOf('parked')).toBe(kind === 'parked' ? 60 : 0);
    // Nor has it taken room that no answer would ever give back.
    expect(await wake()).toHaveLength(20);
  });
});

describe('the release loop', () => {
  const loops: ReleaseLoop[] = [];
  const run = (own: ReleaseParts): ReleaseLoop => {
    const loop = new ReleaseLoop({
      ...own,
      pace: new HandOverPace(),
      opened: Promise.resolve(),
      onReleased: () => undefined,
      onFailure: (error) => {
        throw error;
      },
    });
    loops.push(loop);
    loop.start();
    return loop;
  };
  const stop = (): Promise<void[]> => Promise.all(loops.splice(0).map((loop) => loop.stop()));

  it('finds what was parked before it began, and what another process parks', async () => {
    await stage.fillIndex(5, 'ep_before', true);
    try {
      run(stage.parts({ payloads: stage.everything }));
      await waitFor(() => stage.appended.length === 5);
      await stage.fillIndex(5, 'ep_later', true);
      await waitFor(() => stage.appended.length === 10);
    } finally {
      await stop();
    }
  }, 30_000);

  it('is woken by answers: a lane is drained by rounds, and not by the second', async () => {
    await stage.fillIndex(10_000, 'ep_back', true);
    let loop: ReleaseLoop | undefined;
    const own = new ParkingLot({ onRoom: () => loop?.noticeRoom() });
    let answered = 0;
    try {
      loop = run(stage.parts({ lot: own, payloads: stage.everything }));
      await waitFor(() => {
        // As the projection does: what was gathered, at a time of its own.
        const gathered = stage.appended.slice(answered);
        answered += gathered.length;
        for (const due of gathered) own.notice(answerTo(due, { kind: 'delivered' }));
        return answered === 10_000;
      });
    } finally {
      await stop();
    }
    expect(new Set(stage.released()).size).toBe(10_000);
  }, 30_000);
});

function madeUp(endpoint: string): Partial<DueDelivery['meta']> {
  return { id: 'msg_fresh', attempt: 1, routes: [{ endpoint, version: 0 }] };
}

/** Releases once by a replica whose answers nobody tells it; how many that was. */
async function wakeAlone(own: ReleaseParts): Promise<number> {
  let released = 0;
  let more = true;
  while (more) {
    const outcome = await releaseParked(own);
    released += outcome.released;
    more = outcome.more;
  }
  return released;
}

/** The pool, its statements noted. */
function counting(pool: pg.Pool, statements: string[]): pg.Pool {
  const noting = <T extends pg.Pool | pg.PoolClient>(target: T): T =>
    new Proxy(target, {
      get: (inner, name) => {
        const value: unknown = Reflect.get(inner, name);
        if (typeof value !== 'function') return value;
        if (name === 'connect') return async () => noting(await pool.connect());
        if (name === 'query') {
          return (...args: unknown[]): unknown => {
            statements.push(typeof args[0] === 'string' ? args[0] : (args[0] as { text: string }).text);
            return Reflect.apply(value, inner, args);
          };
        }
        return value.bind(inner) as unknown;
      },
    });
  return noting(pool);
}
