import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { AcceptedMessage } from '@posthaste/contracts';
import { waitFor } from '@posthaste/test-kit';
import { ParkingLot } from '../parking/parking-lot.js';
import { answerTo, ReleaseStage } from '../proving/release-stage.js';
import { deliveryOf, endpointOf, sampleMessage } from '../sample-facts.js';
import { releaseDue, releaseParked, type ReleaseParts } from './release-batch.js';
import { HandOverPace } from './hand-over-pace.js';
import { ReleaseLoop } from './release-loop.js';

let stage: ReleaseStage;
beforeAll(async () => {
  stage = await ReleaseStage.open();
}, 60_000);
afterAll(() => stage.close());
beforeEach(() => stage.reset());
afterEach(() => {
  jest.restoreAllMocks();
});

const manyMessages = (count: number, endpoint?: string): AcceptedMessage[] =>
  Array.from({ length: count }, () => sampleMessage(endpoint));

describe('a release', () => {
  it('appends what the dispatcher needs, byte for byte, and takes the attempt out of the index', async () => {
    const message = sampleMessage();
    message.payload = Buffer.from([0, 255, 34, 92, 10]);
    await stage.owe([message, sampleMessage()], { attempt: 3, attempts: 2 });
    const outcome = await releaseDue(stage.parts());
    expect(outcome).toMatchObject({ released: 2, dropped: 0, postponed: 0, more: false });
    const found = stage.appended.find(({ meta }) => meta.id === message.meta.id);
    const routes = [{ endpoint: endpointOf(message), version: 0 }];
    expect(found?.meta).toEqual({ ...message.meta, routes, attempt: 3, trigger: 'retry' });
    expect(found?.payload).toEqual(message.payload);
    expect(await stage.indexed()).toEqual([]);
  });

  it("hands a message's position on as history has it", async () => {
    const message = sampleMessage();
    await stage.owe([message]);
    Object.assign(stage.known.get(deliveryOf(message)) ?? {}, { position: '00200000000005' });
    await releaseDue(stage.parts());
    expect(stage.appended.map(({ meta }) => meta.position)).toEqual(['00200000000005']);
  });

  it('leaves what is not due, by the clock of the database and not its own', async () => {
    const message = sampleMessage();
    await stage.owe([message], { dueInMs: 3_600_000 });
    const threeHoursOn = Date.now() + 3 * 3_600_000;
    jest.spyOn(Date, 'now').mockReturnValue(threeHoursOn);
    expect(await releaseDue(stage.parts())).toMatchObject({ released: 0, more: false });
    jest.restoreAllMocks();
    await stage.owe([message], { dueInMs: -1_000 });
    const anHourBack = Date.now() - 3_600_000;
    jest.spyOn(Date, 'now').mockReturnValue(anHourBack);
    expect(await releaseDue(stage.parts())).toMatchObject({ released: 1 });
  });

  it('drops what history says is settled, or attempted already', async () => {
    await stage.owe([sampleMessage()], { status: 'delivered' });
    await stage.owe([sampleMessage()], { status: 'cancelled' });
    await stage.owe([sampleMessage()], { status: 'retrying', attempt: 2, attempts: 2 });
    expect(await releaseDue(stage.parts())).toMatchObject({ released: 0, dropped: 3 });
    expect(await stage.indexed()).toEqual([]);
  });

  it('hands over what was asked for although it is settled, until it was attempted', async () => {
    const settled = { attempt: 3, attempts: 2 };
    const resent = manyMessages(3);
    for (const [i, status] of ['delivered', 'exhausted', 'cancelled'].entries()) {
      await stage.owe(resent.slice(i, i + 1), { ...settled, trigger: 'resend', status });
    }
    const recovered = sampleMessage();
    await stage.owe([recovered], { ...settled, trigger: 'recover', status: 'exhausted' });
    await stage.owe([sampleMessage()], { ...settled, trigger: 'recover', status: 'delivered' });
    await stage.owe([sampleMessage()], { attempt: 3, attempts: 3, trigger: 'resend', status: 'exhausted' });
    expect(await releaseDue(stage.parts())).toMatchObject({ released: 4, dropped: 2 });
    const expected = [...resent, recovered].map(({ meta }) => meta.id).sort();
    expect(stage.appended.map(({ meta }) => meta.id).sort()).toEqual(expected);
  });

  it('keeps what history does not know, asks later, and reports what it should have stage.known for long', async () => {
    const [old, unreadable] = [sampleMessage(), sampleMessage()];
    await stage.owe([old], { isKnown: false });
    await stage.owe([unreadable, sampleMessage()]);
    Object.assign(stage.known.get(deliveryOf(unreadable)) ?? {}, { message_meta_json: '{"v":' });
    const outcome = await releaseDue(stage.parts());
    const missing = [deliveryOf(old), deliveryOf(unreadable)].sort();
    expect({ ...outcome, missing: [...outcome.missing].sort() }).toEqual({
      kind: 'timed',
      released: 1,
      dropped: 0,
      postponed: 2,
      parked: 0,
      missing,
      more: false,
    });
    expect(await stage.indexed('not parked')).toEqual(missing);
    expect(await releaseDue(stage.parts())).toMatchObject({ released: 0, postponed: 0 });
  });

  it('loses nothing when it dies between the append and its commit: the same attempts are released again', async () => {
    const messages = manyMessages(10);
    await stage.owe(messages);
    await expect(releaseDue(stage.parts({ pool: stage.dyingAtCommit() }))).rejects.toThrow();
    const before = stage.released();
    expect(before).toHaveLength(10);
    expect(await releaseDue(stage.parts())).toMatchObject({ released: 10 });
    // Each twice, under the same names, so that the dispatcher knows the second for a repeat.
    expect(stage.released()).toEqual([...before, ...before].sort());
    expect(await releaseDue(stage.parts())).toMatchObject({ released: 0 });
  });

  it('leaves the index as it is when the log does not acknowledge', async () => {
    await stage.owe(manyMessages(3));
    const append = () => Promise.reject(new Error('the log is away'));
    await expect(releaseDue(stage.parts({ producer: { append } }))).rejects.toThrow('away');
    expect(await stage.indexed()).toHaveLength(3);
  });

  it('hands over a backlog of 100,000 once, by two replicas at a time, of which one sees the answers', async () => {
    await stage.fillIndex(100_000);
    const seeing = new ParkingLot();
    const replica = (lot: ParkingLot): ReleaseParts => {
      const parts = stage.parts({ lot, payloads: stage.everything });
      const append: ReleaseParts['producer']['append'] = async (records) => {
        const from = stage.appended.length;
        const positions = await parts.producer.append(records);
        for (const due of stage.appended.slice(from)) seeing.notice(answerTo(due, { kind: 'delivered' }));
        return positions;
      };
      return { ...parts, producer: { append } };
    };
    const drain = async (parts: ReleaseParts): Promise<void> => {
      let more = true;
      while (more) {
        const timed = await releaseDue(parts);
        more = (await releaseParked(parts)).more || timed.more;
      }
    };
    const one = replica(seeing);
    await Promise.all([drain(one), drain(replica(new ParkingLot()))]);
    // Rows that the other one parked, or held when a replica looked last.
    one.lot.park(['ep_many']);
    await drain(one);
    expect(new Set(stage.released()).size).toBe(100_000);
    expect(stage.appended).toHaveLength(100_000);
    expect(await stage.countOf('true')).toBe(0);
  }, 120_000);
});

describe('the release loop', () => {
  const loops: ReleaseLoop[] = [];
  afterEach(() => Promise.all(loops.splice(0).map((loop) => loop.stop())));

  const start = (over: Partial<ConstructorParameters<typeof ReleaseLoop>[0]> = {}) => {
    const failures: unknown[] = [];
    const loop = new ReleaseLoop({
      ...stage.parts(),
      pace: new HandOverPace(),
      opened: Promise.resolve(),
      onReleased: () => undefined,
      onFailure: (error) => void failures.push(error),
      ...over,
    });
    loops.push(loop);
    loop.start();
    return { loop, failures };
  };

  it('releases nothing before the index has caught up with the log', async () => {
    await stage.owe([sampleMessage()]);
    let open: () => void = () => undefined;
    start({ opened: new Promise((resolve) => (open = resolve)) });
    const other = sampleMessage();
    await stage.owe([other]);
    expect(stage.asked).toEqual([]);
    open();
    await waitFor(() => stage.appended.length === 2);
  });

  it('releases attempts in the order of their times, also one that comes while it sleeps', async () => {
    const [later, sooner] = manyMessages(2) as [AcceptedMessage, AcceptedMessage];
    await stage.owe([later], { dueInMs: 900 });
    const { loop } = start();
    await stage.owe([sooner], { dueInMs: 200 });
    loop.noticeDue(Date.now() + 200);
    await waitFor(() => stage.appended.length === 2);
    expect(stage.appended.map(({ meta }) => meta.id)).toEqual([sooner.meta.id, later.meta.id]);
  });

  it('goes on after a failure, and releases each attempt once beside another loop', async () => {
    let failing = 3;
    const payloads: ReleaseParts['payloads'] = async (deliveries) => {
      if (failing-- > 0) throw new Error('history is away');
      return stage.parts().payloads(deliveries);
    };
    const messages = manyMessages(500);
    await stage.owe(messages);
    const { failures } = start({ payloads });
    start({ payloads });
    await waitFor(() => stage.appended.length >= 500);
    expect(await waitFor(async () => (await stage.indexed()).length === 0)).toBe(true);
    expect(new Set(stage.released()).size).toBe(500);
    expect(stage.appended).toHaveLength(500);
    expect(failures.length).toBeGreaterThan(0);
  });

  it('hands over no faster than its pace, what is timed and what is parked by halves', async () => {
    const lot = new ParkingLot();
    // A lane is handed twenty at first.
    for (const n of [1, 2, 3, 4, 5]) {
      await stage.fillIndex(20, `ep_timed_${n}`);
      await stage.fillIndex(20, `ep_parked_${n}`, true);
      lot.park([`ep_parked_${n}`]);
    }
    const pace = new HandOverPace(() => 0);
    start({ pace, lot, payloads: stage.everything });
    // Its clock stands, so this is all it lets go.
    await waitFor(() => stage.appended.length === 100 && pace.room(100) === 0);
    const parked = stage.appended.filter(({ meta }) => meta.routes[0]?.endpoint.startsWith('ep_parked'));
    expect(parked).toHaveLength(50);
  });
});
