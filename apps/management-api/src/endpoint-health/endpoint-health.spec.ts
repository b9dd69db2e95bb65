import { describe, expect, it } from '@jest/globals';
import { type DeliveryAttempted, newId, healthFactOf, topics } from '@posthaste/contracts';
import type { AttemptOutcome } from '@posthaste/delivery';
import fc from 'fast-check';
import { answered, attemptAt, gone, refused } from '../proving/attempt-facts.js';
import {
  type Consequence,
  type EndpointHealth,
  healthAfter,
  type HealthRules,
  unknownHealth,
} from './endpoint-health.js';

const HOUR = 3_600_000;
const start = Date.parse('2026-11-01T00:00:00Z');
const endpoint = {
  id: newId('endpoint'),
  account_id: newId('account'),
  tenant: newId('tenant'),
  url: 'https://example.com/',
  retry_policy: { preset: 'none' as const },
};
const rules: HealthRules = { countsFrom: 0, autoDisable: true };
const at = (hours: number, outcome: AttemptOutcome): DeliveryAttempted =>
  attemptAt(start + hours * HOUR, endpoint, outcome);

/** Folds the attempts as the projection does, and keeps what was asked for because of each. */
function fold(events: DeliveryAttempted[], own: Partial<HealthRules> = {}, from = unknownHealth) {
  let health: EndpointHealth = from;
  const asked: (Consequence & { hours: number })[] = [];
  for (const event of events) {
    const fact = topics.health.decode(topics.health.encode(healthFactOf(event)));
    const after = healthAfter(health, fact, { ...rules, ...own });
    health = after.health;
    const hours = (event.startedAt - start) / HOUR;
    for (const consequence of after.consequences) asked.push({ ...consequence, hours });
  }
  return { health, asked };
}

const words = (asked: (Consequence & { hours: number })[]): string[] =>
  asked
    .filter(({ cause }) => !cause.startsWith('message.'))
    .map(
      ({ kind, detail, hours }) => `${hours}: ${kind === 'tell' ? detail.type : `disable, ${detail.reason}`}`,
    );

describe('an endpoint that fails', () => {
  it('is warned about at 24 h and 72 h and disabled at 7 d, by the first failure from then on', () => {
    const hours = [0, 1, 23.99, 24, 25, 71.99, 80, 167.999, 168, 169];
    const { health, asked } = fold(hours.map((hour) => at(hour, refused)));
    expect(words(asked)).toEqual(['24: endpoint.warning', '80: endpoint.warning', '168: disable, failing']);
    expect(asked.filter(({ kind }) => kind === 'tell')[3]?.detail).toMatchObject({
      type: 'endpoint.warning',
      timestamp: '2026-11-02T00:00:00.000Z',
      data: {
        failing_since: '2026-11-01T00:00:00.000Z',
        failing_hours: 24,
        failures: 4,
        last_error: { class: 'http_status' },
        disables_at: '2026-11-08T00:00:00.000Z',
      },
    });
    expect(health).toMatchObject({ failingSince: start, failures: 10, lastFailureAt: start + 169 * HOUR });
  });

  it('is warned about once when it is sent little: the highest boundary passed counts', () => {
    expect(words(fold([at(0, refused), at(100, refused)]).asked)).toEqual(['100: endpoint.warning']);
    expect(words(fold([at(0, refused), at(500, refused)]).asked)).toEqual(['500: disable, failing']);
  });

  it('starts anew with every success, which is told if there was a warning', () => {
    const { health, asked } = fold([
      ...[at(0, refused), at(20, answered), at(30, refused), at(53, refused)],
      ...[at(54, refused), at(55, answered), at(56, answered), at(200, refused)],
    ]);
    expect(words(asked)).toEqual(['54: endpoint.warning', '55: endpoint.recovered']);
    expect(health).toMatchObject({ failingSince: start + 200 * HOUR, failures: 1, isWarned: false });
  });

  it('but may not be disabled for it is warned about twice, until it may', () => {
    const weeks = [0, 24, 72, 168, 336].map((hour) => at(hour, refused));
    const { health, asked } = fold(weeks, { autoDisable: false });
    expect(words(asked)).toEqual(['24: endpoint.warning', '72: endpoint.warning']);
    expect(words(fold([at(337, refused)], {}, health).asked)).toEqual(['337: disable, failing']);
  });

  it('and is switched on again counts from then; its next success has recovered', () => {
    const { health } = fold([0, 24, 168].map((hour) => at(hour, refused)));
    const countsFrom = start + 170 * HOUR;
    const late = fold([at(169, refused)], { countsFrom }, health);
    expect(late).toEqual({ health, asked: expect.any(Array) });
    const again = fold(
      [171, 194.9, 195].map((hour) => at(hour, refused)),
      { countsFrom },
      health,
    );
    expect(again.health).toMatchObject({ failingSince: start + 171 * HOUR, failures: 3 });
    expect(words(again.asked)).toEqual(['195: endpoint.warning']);
    expect(words(fold([at(171, answered)], { countsFrom }, health).asked)).toEqual([
      '171: endpoint.recovered',
    ]);
  });

  it('for a reason on our side has not failed', () => {
    const ours: AttemptOutcome = { kind: 'failed', class: 'internal' };
    expect(fold([0, 24, 168].map((hour) => at(hour, ours))).health).toBe(unknownHealth);
  });

  it.each<[string, AttemptOutcome, number, string[]]>([
    ['with 410', gone, 0, ['5: disable, gone']],
    ['with 500 and webhook-delivery: disable', { ...refused, wish: 'disable' }, 0, ['5: disable, gone']],
    ['with 200 and webhook-delivery: disable', { ...answered, wish: 'disable' }, 0, ['5: disable, gone']],
    ['with webhook-delivery: abort-message', { ...refused, wish: 'abort-message' }, 0, []],
    ['with 410, before it was switched on again', gone, 6, []],
  ])('says that it is gone, or not, %s', (_, outcome, countsFromHour, asked) => {
    const countsFrom = start + countsFromHour * HOUR;
    expect(words(fold([at(5, outcome)], { countsFrom, autoDisable: false }).asked)).toEqual(asked);
  });
});

describe('an endpoint that is well', () => {
  it('is written for one success in five minutes', () => {
    const seconds = [0, 1, 100, 299, 300, 301, 599, 601];
    let health = unknownHealth;
    const written = seconds.filter((second) => {
      const before = health;
      health = fold([at(second / 3_600, answered)], {}, before).health;
      return health !== before;
    });
    expect(written).toEqual([0, 300, 601]);
  });
});

describe('whatever happens to an endpoint', () => {
  const steps = fc.array(
    fc.record({
      afterHours: fc.integer({ min: 0, max: 60 }),
      outcome: fc.oneof(
        { weight: 6, arbitrary: fc.constant(refused) },
        { weight: 1, arbitrary: fc.constant(answered) },
      ),
    }),
    { maxLength: 40 },
  );

  it('each stage of each failing time is asked for once, in order, and a recovery follows a warning', () => {
    fc.assert(
      fc.property(steps, (story) => {
        let hour = 0;
        const events = story.map(({ afterHours, outcome }) => at((hour += afterHours), outcome));
        const { asked } = fold(events);
        const causes = asked.map(({ cause }) => cause);
        expect(new Set(causes).size).toBe(causes.length);
        let isWarned = false;
        for (const { kind, detail } of asked) {
          if (kind === 'tell' && detail.type === 'endpoint.recovered') {
            expect(isWarned).toBe(true);
            isWarned = false;
          } else if (kind === 'disable' || detail.type === 'endpoint.warning') isWarned = true;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('a log that is cut in two anywhere asks for the same', () => {
    fc.assert(
      fc.property(steps, fc.nat(), (story, cut) => {
        let hour = 0;
        const events = story.map(({ afterHours, outcome }) => at((hour += afterHours), outcome));
        const place = cut % (events.length + 1);
        const first = fold(events.slice(0, place));
        // As a row holds it in between.
        const stored = JSON.parse(JSON.stringify(first.health)) as EndpointHealth;
        const second = fold(events.slice(place), {}, stored);
        const whole = fold(events);
        expect([...first.asked, ...second.asked]).toEqual(whole.asked);
        expect(second.health).toEqual(whole.health);
      }),
      { numRuns: 500 },
    );
  });
});
