import type { StackShape } from '../product/bench-stack.js';

/** What every figure of another product was taken with, and then what a product promises beside speed. */
export const scenarioNames = [
  'throughput',
  'latency',
  'fan-out',
  'isolation',
  'backlog',
  'retry-storm',
  'idempotent-publish',
  'history-reads',
] as const;
/** These take long, so they are run by name only. */
export const longScenarioNames = [
  'misbehaviour',
  'dead-host',
  'recovery',
  'replay',
  'tail',
  'projection',
  'scaling',
  'memory',
  'soak',
] as const;
export type ScenarioName = (typeof scenarioNames)[number] | (typeof longScenarioNames)[number];

const ONE_MACHINE: StackShape = { dispatchers: 1, partitions: 'single' };
/** The scenario `scaling` stops half of its dispatchers, twice. */
const TO_SCALE: StackShape[] = [
  { dispatchers: 4, partitions: 'single' },
  { dispatchers: 4, partitions: 'production' },
];

/** The stacks on each of which all of these scenarios run, one after the other. */
export function stacksFor(names: ScenarioName[]): StackShape[] {
  return names.includes('scaling') ? TO_SCALE : [ONE_MACHINE];
}

/** As much at a time as the throughput scenario. */
export const WARM_UP_PACE = { inFlight: 64 };
export const PAYLOAD_BYTES = 1_024;
const WARM_UP = 5_000;

/** How large the runs are: counts and durations shrink with the scale, rates do not. */
export class Sizes {
  constructor(
    readonly scale: number,
    private readonly wished: { count?: number; warmUp?: number } = {},
  ) {}

  /** Of a run's messages, unless a number was wished for. */
  count(whole: number): number {
    return this.wished.count ?? this.scaled(whole);
  }

  warmUp(whole = WARM_UP): number {
    return this.wished.warmUp ?? this.scaled(whole);
  }

  /** Never nothing. */
  scaled(whole: number): number {
    return Math.max(1, Math.round(whole * this.scale));
  }
}
