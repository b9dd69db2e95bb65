import { setTimeout as delay } from 'node:timers/promises';
import { type Bench, type BenchStack, type LogKind, whenQuiet } from './bench-stack.js';
import { type DispatcherDuring, DispatcherWatch } from './dispatcher-watch.js';
import { type FaultRun, type FaultScenario, HEALTHY_ACCOUNTS, turnsOf } from './fault-scenarios.js';
import { invite, type Party, takeLeave } from './parties.js';
import { type CostPerDelivery, costPerDelivery } from './process-cost.js';
import type { CollectedReport, GeneratedReport, GenerateOrder, PublishTarget } from './protocol.js';
import { type Quantiles, round as rounded } from './quantiles.js';
import { type RetryDelays, retryDelays, sampleRetries } from './retry-delays.js';
import { PAYLOAD_BYTES, WARM_UP_PACE } from './scenarios.js';
import { nowMs } from './stamped-payload.js';
import type { Workers } from './worker-process.js';

/**
 * Runs of one scenario after each other, on one stack: the nine healthy accounts are the same in all of them, the
 * troubled ones are new in each. A run's messages are numbered through; whose message n is follows from the turns, so
 * a receiver that saw a number and a generator that was answered 202 for it are all that is needed to say what is
 * lost. Before a run begins the last one's troubled endpoints are deleted and their work is over, and the product is
 * quiet; else the run would be charged for it.
 */

/** One run beside accounts whose receiver misbehaves, as it is printed and written down. */
export interface FaultResult extends CostPerDelivery {
  scenario: FaultScenario['name'];
  log: LogKind;
  run: string;
  messages: number;
  answers: Record<string, number>;
  acceptMs: Quantiles;
  /** The accounts whose receiver answers. */
  healthy: Arrived & { endToEndMs: Quantiles; p99ToFirstRun: number };
  /** The others, where their receiver answers, or does in the end. */
  troubled: Arrived | null;
  /** Of both: acknowledged and never received. */
  lost: number;
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
  retries: RetryDelays[];
}

/** A run with its parties, and whose message is whose. */
interface Round extends FaultRun {
  healthyParty: Party;
  troubledParty: Party | null;
  turns: { member: PublishTarget; isTroubled: boolean }[];
}

const PATIENCE_MS = 20_000;
/** The longest step of a retry schedule here, and a breaker's 30 s. */
const RECOVERY_PATIENCE_MS = 95_000;

export async function runFaults(
  scenario: FaultScenario,
  bench: Bench,
  show: (result: FaultResult) => void,
): Promise<void> {
  const { workers, stack } = bench;
  const nine = { accounts: HEALTHY_ACCOUNTS, endpointsEach: 1, behaviour: 'prompt' } as const;
  const healthyParty = await invite(stack, workers.receiver, { name: 'healthy', ...nine });
  let firstP99: number | undefined;
  for (const [i, run] of scenario.runs.entries()) {
    const wished = run.troubled && { name: `troubled-${i + 1}`, ...run.troubled };
    const troubledParty = wished && (await invite(stack, workers.receiver, wished));
    const turns = turnsOf(healthyParty.targets, troubledParty?.targets ?? [], run.perSecond);
    const round = { ...run, healthyParty, troubledParty, turns };
    if (i === 0) await warmUp(round, scenario.warmUp, bench);
    await whenQuiet(stack);
    const { healthy, ...measured } = await measure(round, bench);
    firstP99 ??= healthy.endToEndMs.p99;
    const p99ToFirstRun = rounded(healthy.endToEndMs.p99 / firstP99);
    show({ scenario: scenario.name, ...measured, healthy: { ...healthy, p99ToFirstRun } });
    const isLast = i + 1 === scenario.runs.length;
    if (troubledParty && !isLast && run.troubled?.behaviour !== 'prompt') {
      await takeLeave(stack, troubledParty);
    }
  }
}

async function warmUp(round: Round, count: number, bench: Bench): Promise<void> {
  await bench.workers.receiver.ask({ kind: 'reset', capacity: count });
  const generated = await generate(round, { count, pace: WARM_UP_PACE }, bench);
  const { healthy, troubled } = await collect({ ...round, count }, generated, bench);
  const lost = healthy.lost + (troubled?.lost ?? 0);
  if (lost > 0) throw new Error(`the warm-up lost ${lost} messages`);
}

type Measured = Omit<FaultResult, 'scenario' | 'healthy'> & {
  healthy: Omit<FaultResult['healthy'], 'p99ToFirstRun'>;
};

async function measure(round: Round, bench: Bench): Promise<Measured> {
  const { workers, stack } = bench;
  const { count } = round;
  await workers.receiver.ask({ kind: 'reset', capacity: count });
  const watch = await DispatcherWatch.start(stack);
  const before = stack.costs();
  const [generated, backAtMs] = await Promise.all([
    generate(round, { count, pace: { perSecond: rateOf(round) } }, bench),
    comeBack(round, workers),
  ]);
  const countDuring = watch.end();
  const collected = await collect(round, generated, bench);
  const { healthy, troubled } = collected;
  const delivered = healthy.delivered + (troubled?.delivered ?? 0);
  const cost = costPerDelivery(before, stack.costs(), delivered);
  return {
    log: stack.log,
    run: round.title,
    messages: count,
    answers: generated.answers,
    acceptMs: generated.acceptMs,
    healthy: { ...arrivedOf(healthy), endToEndMs: healthy.report.endToEndMs },
    troubled: troubled && arrivedOf(troubled),
    lost: healthy.lost + (troubled?.lost ?? 0),
    dispatcher: await countDuring(delivered),
    recovery: backAtMs === null ? null : await recoveryOf(round, backAtMs, collected, stack),
    ...cost,
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
  await whenQuiet(stack);
  const attempts = await sampleRetries(stack, round.troubledParty?.accounts[0] ?? '');
  const [away, back] = healthy.report.parts;
  const completeAtMs = troubled?.report.parts[0]?.completeAtMs ?? NaN;
  return {
    downSeconds: rounded((round.troubled?.backFrom ?? 0) / rateOf(round), 1),
    caughtUpSeconds: rounded((completeAtMs - backAtMs) / 1_000, 1),
    healthyP99Ms: { away: away?.endToEndMs.p99 ?? NaN, back: back?.endToEndMs.p99 ?? NaN },
    retries: retryDelays(attempts, round.troubled?.scheduleSeconds ?? []),
  };
}
