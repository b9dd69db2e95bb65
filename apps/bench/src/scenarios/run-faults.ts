import { setTimeout as delay } from 'node:timers/promises';
import type { Bench, BenchStack } from '../product/bench-stack.js';
import { type DispatcherDuring, DispatcherWatch } from '../product/dispatcher-watch.js';
import {
  type FaultRun,
  type FaultScenario,
  faultScenarioOf,
  type FaultScenarioName,
  HEALTHY_ACCOUNTS,
  turnsOf,
} from './fault-scenarios.js';
import { PATIENCE_MS, rate } from './load.js';
import type { Measurement } from '../results/measurement.js';
import { Meter } from '../product/meter.js';
import { invite, type Party, takeLeave } from './parties.js';
import type { CollectedReport, GeneratedReport, GenerateOrder, PublishTarget } from '../traffic/protocol.js';
import { round as rounded } from '../traffic/quantiles.js';
import { type RetryDelays, retryDelays, sampleRetries } from './retry-delays.js';
import type { Show } from './run-speed.js';
import { PAYLOAD_BYTES, type Sizes, WARM_UP_PACE } from './scenarios.js';
import { nowMs } from '../traffic/stamped-payload.js';
import type { Workers } from '../traffic/worker-process.js';

/**
 * Runs of one scenario after each other, on one stack: the nine healthy accounts are the same in all of them, the
 * troubled ones are new in each. A run's messages are numbered through; whose message n is follows from the turns, so
 * a receiver that saw a number and a generator that was answered 202 for it are all that is needed to say what is
 * lost. Before a run begins the last one's troubled endpoints are deleted and their work is over, and the product is
 * quiet; else the run would be charged for it.
 */

/** What only a run beside troubled receivers has; the measurement's own times are those of the healthy accounts. */
export interface FaultDetails {
  /** The accounts whose receiver answers. */
  healthy: Arrived;
  /** The others, where their receiver answers, or does in the end. */
  troubled: Arrived | null;
  dispatcher: DispatcherDuring;
  recovery: Recovery | null;
}

interface Arrived {
  delivered: number;
  lost: number;
  duplicates: number;
}

export interface Recovery {
  downSeconds: number;
  /** From the receiver's return until it had all that was sent while it was away. */
  caughtUpSeconds: number;
  /** The healthy accounts while it was away, and after. */
  healthyP99Ms: { away: number; back: number };
  /** What was sent to it after its return. */
  ownP99Ms: number;
  retries: RetryDelays[];
}

/** A run with its parties, and whose message is whose. */
interface Round extends FaultRun {
  healthyParty: Party;
  troubledParty: Party | null;
  turns: { member: PublishTarget; isTroubled: boolean }[];
}

/** The longest step of a retry schedule here, and a breaker's 30 s. */
const RECOVERY_PATIENCE_MS = 95_000;

export async function runFaults(
  name: FaultScenarioName,
  bench: Bench,
  sizes: Sizes,
  show: Show,
): Promise<void> {
  const { workers, stack } = bench;
  const scenario: FaultScenario = faultScenarioOf(name, sizes);
  const nine = { accounts: HEALTHY_ACCOUNTS, endpointsEach: 1, behaviour: 'prompt' } as const;
  const healthyParty = await invite(stack, workers.receiver, { name: `${name}-healthy`, ...nine });
  let firstP99: number | undefined;
  for (const [i, run] of scenario.runs.entries()) {
    const wished = run.troubled && { name: `${name}-troubled-${i + 1}`, ...run.troubled };
    const troubledParty = wished && (await invite(stack, workers.receiver, wished));
    const turns = turnsOf(healthyParty.targets, troubledParty?.targets ?? [], run.perSecond);
    const round = { ...run, healthyParty, troubledParty, turns };
    if (i === 0) await warmUp(round, scenario.warmUp, bench);
    const measured = await measure(name, round, bench);
    firstP99 ??= measured.endToEndMs.p99;
    show({ ...measured, figures: figuresOf(measured, firstP99) });
    const isLast = i + 1 === scenario.runs.length;
    if (troubledParty && !isLast && run.troubled?.behaviour !== 'prompt') {
      await takeLeave(stack, workers.receiver, troubledParty);
    }
  }
}

/** What is asked of the others' p99: how it compares to the first run, in which nobody was in trouble. */
function figuresOf(
  { endToEndMs, fault }: Omit<Measurement, 'figures'>,
  firstP99: number,
): Record<string, number> {
  const recovery = fault?.recovery;
  const toFirst = (p99: number): number => rounded(p99 / firstP99);
  return {
    healthy_p99_before_ms: firstP99,
    healthy_p99_ms: endToEndMs.p99,
    healthy_p99_to_before: toFirst(endToEndMs.p99),
    ...(recovery && {
      healthy_p99_while_away_to_before: toFirst(recovery.healthyP99Ms.away),
      healthy_p99_once_back_to_before: toFirst(recovery.healthyP99Ms.back),
      caught_up_s: recovery.caughtUpSeconds,
      own_p99_once_back_ms: recovery.ownP99Ms,
    }),
  };
}

async function warmUp(round: Round, count: number, bench: Bench): Promise<void> {
  await bench.workers.receiver.ask({ kind: 'reset', expected: { messages: count, endpoints: 1 } });
  const generated = await generate(round, { count, pace: WARM_UP_PACE }, bench);
  const { healthy, troubled } = await collect({ ...round, count }, generated, bench);
  const lost = healthy.lost + (troubled?.lost ?? 0);
  if (lost > 0) throw new Error(`the warm-up lost ${lost} messages`);
}

async function measure(
  scenario: FaultScenarioName,
  round: Round,
  bench: Bench,
): Promise<Omit<Measurement, 'figures'>> {
  const { workers, stack } = bench;
  const { count } = round;
  await workers.receiver.ask({ kind: 'reset', expected: { messages: count, endpoints: 1 } });
  const meter = await Meter.start(bench);
  const watch = await DispatcherWatch.start(stack);
  const [generated, backAtMs] = await Promise.all([
    generate(round, { count, pace: { perSecond: rateOf(round) } }, bench),
    comeBack(round, workers),
  ]);
  const countDuring = watch.end();
  const collected = await collect(round, generated, bench);
  const { healthy, troubled } = collected;
  const delivered = healthy.delivered + (troubled?.delivered ?? 0);
  const { firstAcceptedAtMs, lastAcceptedAtMs, accepted } = generated;
  const lastReceivedAtMs = Math.max(healthy.report.lastReceivedAtMs, troubled?.report.lastReceivedAtMs ?? 0);
  // Before the retries are asked for: that is no part of the run.
  const cost = await meter.read(delivered);
  const fault = {
    healthy: arrivedOf(healthy),
    troubled: troubled && arrivedOf(troubled),
    dispatcher: await countDuring(delivered),
    recovery: backAtMs === null ? null : await recoveryOf(round, backAtMs, collected, stack),
  };
  return {
    scenario,
    log: stack.log,
    run: round.title,
    messages: count,
    answers: generated.answers,
    delivered,
    acceptsPerSecond: rate(accepted, firstAcceptedAtMs, lastAcceptedAtMs),
    deliveriesPerSecond: rate(delivered, firstAcceptedAtMs, lastReceivedAtMs),
    acceptMs: generated.acceptMs,
    endToEndMs: healthy.report.endToEndMs,
    lost: healthy.lost + (troubled?.lost ?? 0),
    duplicates: healthy.duplicates + (troubled?.duplicates ?? 0),
    ...cost,
    fault,
  };
}

function rateOf({ perSecond }: FaultRun): number {
  return perSecond.healthy + perSecond.troubled;
}

function generate(
  { turns }: Round,
  load: Pick<GenerateOrder, 'count' | 'pace'>,
  { workers, stack }: Bench,
): Promise<GeneratedReport> {
  const targets = turns.map(({ member }) => member);
  const order = { ...load, targets, headers: stack.headers, payloadBytes: PAYLOAD_BYTES };
  return workers.generator.ask<GeneratedReport>({ kind: 'generate', order });
}

/** Answers when the troubled receiver was back; null when it does not come back. */
async function comeBack(round: Round, { receiver }: Workers): Promise<number | null> {
  const { troubled, troubledParty } = round;
  if (troubled?.backFrom === undefined || troubledParty === null) return null;
  await delay((troubled.backFrom * 1_000) / rateOf(round));
  await receiver.ask({ kind: 'behave', receiver: troubledParty.receiver, behaviour: 'prompt' });
  return nowMs();
}

interface CollectedParty extends Arrived {
  report: CollectedReport;
}

interface Collected {
  healthy: CollectedParty;
  /** Null when its receiver answers nothing. */
  troubled: CollectedParty | null;
}

async function collect(round: Round, generated: GeneratedReport, { workers }: Bench): Promise<Collected> {
  const { turns, troubled, healthyParty, troubledParty } = round;
  const refused = new Set(generated.refused);
  const partsAt = troubled?.backFrom === undefined ? [] : [troubled.backFrom];
  const collectOne = async (
    party: Party,
    isTroubled: boolean,
    patienceMs: number,
  ): Promise<CollectedParty> => {
    const isOwed = (seq: number): boolean =>
      turns[seq % turns.length]?.isTroubled === isTroubled && !refused.has(seq);
    const expected = Array.from({ length: round.count }, (_, seq) => seq).filter(isOwed).length;
    const order = { receiver: party.receiver, expected, patienceMs, partsAt };
    const report = await workers.receiver.ask<CollectedReport>({ kind: 'collect', order });
    const { distinct: delivered, duplicates } = report;
    return { report, delivered, lost: report.missing.filter(isOwed).length, duplicates };
  };
  const isBack = troubled?.backFrom !== undefined;
  const answers = isBack || troubled?.behaviour === 'prompt';
  return {
    healthy: await collectOne(healthyParty, false, PATIENCE_MS),
    troubled:
      troubledParty && answers
        ? await collectOne(troubledParty, true, isBack ? RECOVERY_PATIENCE_MS : PATIENCE_MS)
        : null,
  };
}

function arrivedOf({ delivered, lost, duplicates }: Arrived): Arrived {
  return { delivered, lost, duplicates };
}

async function recoveryOf(
  round: Round,
  backAtMs: number,
  { healthy, troubled }: Collected,
  stack: BenchStack,
): Promise<Recovery> {
  const attempts = await sampleRetries(stack, round.troubledParty?.accounts[0] ?? '');
  const [away, back] = healthy.report.parts;
  const completeAtMs = troubled?.report.parts[0]?.completeAtMs ?? NaN;
  return {
    downSeconds: rounded((round.troubled?.backFrom ?? 0) / rateOf(round), 1),
    caughtUpSeconds: rounded((completeAtMs - backAtMs) / 1_000, 1),
    healthyP99Ms: { away: away?.endToEndMs.p99 ?? NaN, back: back?.endToEndMs.p99 ?? NaN },
    ownP99Ms: troubled?.report.parts[1]?.endToEndMs.p99 ?? NaN,
    retries: retryDelays(attempts, round.troubled?.scheduleSeconds ?? []),
  };
}
