import type { Behaviour } from '../traffic/protocol.js';
import type { Sizes } from './scenarios.js';

/**
 * What one customer's receiver may do to the others. Nine accounts whose receiver answers at once share the product
 * with accounts whose receiver does not; every run has the same nine on the same stack, and the first run nobody who
 * misbehaves. Open loop throughout.
 */
export const faultScenarioNames = [
  'isolation',
  'retry-storm',
  'misbehaviour',
  'dead-host',
  'recovery',
] as const;
export type FaultScenarioName = (typeof faultScenarioNames)[number];

export const HEALTHY_ACCOUNTS = 9;

/** Accounts with endpoints on one server. */
interface Troubled {
  accounts: number;
  /** Each takes an event type of its own, so a message is one delivery. */
  endpointsEach: number;
  behaviour: Behaviour;
  /** Of the retries; the default policy when absent. */
  scheduleSeconds?: number[];
  /** From this message on its server answers at once. */
  backFrom?: number;
}

export interface FaultRun {
  title: string;
  count: number;
  perSecond: { healthy: number; troubled: number };
  troubled: Troubled | null;
}

export interface FaultScenario {
  name: FaultScenarioName;
  warmUp: number;
  runs: FaultRun[];
}

type CountOf = (perSecond: FaultRun['perSecond'], seconds: number) => number;

export function faultScenarioOf(name: FaultScenarioName, sizes: Sizes): FaultScenario {
  const countOf: CountOf = ({ healthy, troubled }, seconds) => sizes.count((healthy + troubled) * seconds);
  return { name, warmUp: sizes.warmUp(), runs: runsOf(name, sizes, countOf) };
}

function runsOf(name: FaultScenarioName, sizes: Sizes, countOf: CountOf): FaultRun[] {
  switch (name) {
    case 'isolation':
      return tenthRuns([['the tenth hangs', 'hang']], countOf);
    case 'misbehaviour': {
      const others: [string, Behaviour][] = [
        ['the tenth drips its headers', 'drip'],
        ['the tenth answers 500 after 10 s', 'late-500'],
        ['the tenth refuses connections', 'refuse'],
      ];
      return tenthRuns(others, countOf);
    }
    case 'retry-storm':
      return stormRuns(sizes, countOf);
    case 'dead-host':
      return deadHostRuns(sizes, countOf);
    case 'recovery':
      return recoveryRuns(countOf);
  }
}

/** The last run says how much two equal runs differ on this machine: a ratio within that is none. */
function tenthRuns(troubles: [title: string, behaviour: Behaviour][], countOf: CountOf): FaultRun[] {
  const perSecond = { healthy: 270, troubled: 30 };
  const tenth = (title: string, behaviour: Behaviour): FaultRun => ({
    title,
    count: countOf(perSecond, 20),
    perSecond,
    troubled: { accounts: 1, endpointsEach: 1, behaviour },
  });
  return [
    tenth('all ten answer', 'prompt'),
    ...troubles.map(([title, behaviour]) => tenth(title, behaviour)),
    tenth('all ten answer, again', 'prompt'),
  ];
}

/** Longer than an attempt's timeout of 15 s and a breaker's 30 s. */
const DEAD_SECONDS = 60;
/** 1,000 endpoints on one server. */
const thousand = (sizes: Sizes): Pick<Troubled, 'accounts' | 'endpointsEach'> => ({
  accounts: sizes.scaled(50),
  endpointsEach: 20,
});

function deadHostRuns(sizes: Sizes, countOf: CountOf): FaultRun[] {
  const alone = { healthy: 100, troubled: 0 };
  const beside = { healthy: 100, troubled: 200 };
  return [
    { title: 'nine accounts alone', count: countOf(alone, 20), perSecond: alone, troubled: null },
    {
      title: 'beside 1,000 endpoints that answer',
      count: countOf(beside, 20),
      perSecond: beside,
      troubled: { ...thousand(sizes), behaviour: 'prompt' },
    },
    {
      title: 'beside 1,000 endpoints on one dead host',
      count: countOf(beside, DEAD_SECONDS),
      perSecond: beside,
      troubled: { ...thousand(sizes), behaviour: 'hang' },
    },
  ];
}

const DOWN_SECONDS = 120;
const BACK_SECONDS = 120;
/** 5 s, 30 s, then each minute: the API takes 30 steps. */
const RECOVERY_SCHEDULE = [5, 30, ...Array.from({ length: 28 }, () => 60)];

function recoveryRuns(countOf: CountOf): FaultRun[] {
  const perSecond = { healthy: 100, troubled: 200 };
  const one = { accounts: 1, endpointsEach: 1, scheduleSeconds: RECOVERY_SCHEDULE };
  const count = countOf(perSecond, DOWN_SECONDS + BACK_SECONDS);
  return [
    {
      title: 'all answer',
      count: countOf(perSecond, 20),
      perSecond,
      troubled: { ...one, behaviour: 'prompt' },
    },
    {
      title: 'one is down for half of the run',
      count,
      perSecond,
      troubled: { ...one, behaviour: 'refuse', backFrom: Math.floor(count / 2) },
    },
  ];
}

const STORM_SECONDS = 60;

/** A thousand endpoints fail for a minute, each about a dozen times, and then answer: all their retries come due. */
function stormRuns(sizes: Sizes, countOf: CountOf): FaultRun[] {
  const perSecond = { healthy: 100, troubled: 200 };
  const troubled = { ...thousand(sizes), scheduleSeconds: RECOVERY_SCHEDULE };
  const count = countOf(perSecond, 2 * STORM_SECONDS);
  return [
    {
      title: 'all answer',
      count: countOf(perSecond, 20),
      perSecond,
      troubled: { ...troubled, behaviour: 'prompt' },
    },
    {
      title: 'the others fail for half of the run',
      count,
      perSecond,
      troubled: { ...troubled, behaviour: 'fail', backFrom: Math.floor(count / 2) },
    },
  ];
}

/**
 * Whose message is next: a cycle in which both groups have their share of the rate and every member its turn, each
 * group's messages spread evenly.
 */
export function turnsOf<T>(
  healthy: T[],
  troubled: T[],
  perSecond: FaultRun['perSecond'],
): { member: T; isTroubled: boolean }[] {
  const divisor = greatestCommonDivisor(perSecond.healthy, perSecond.troubled);
  const healthyShare = perSecond.healthy / divisor;
  const troubledShare = perSecond.troubled / divisor;
  const share = healthyShare + troubledShare;
  const rounds = Math.max(
    Math.ceil(healthy.length / healthyShare),
    troubledShare === 0 ? 0 : Math.ceil(troubled.length / troubledShare),
  );
  let healthyTurns = 0;
  let troubledTurns = 0;
  return Array.from({ length: rounds * share }, (_, turn) => {
    const isTroubled = Math.floor(((turn + 1) * troubledShare) / share) > troubledTurns;
    const member = isTroubled
      ? troubled[troubledTurns++ % troubled.length]
      : healthy[healthyTurns++ % healthy.length];
    if (member === undefined) throw new Error('a group with a rate has no member');
    return { member, isTroubled };
  });
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
