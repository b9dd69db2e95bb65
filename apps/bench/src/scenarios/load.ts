import type { Bench } from '../product/bench-stack.js';
import type { Measurement } from '../results/measurement.js';
import { Meter, type RunCost } from '../product/meter.js';
import type { CollectedReport, GeneratedReport, GenerateOrder, Pace } from '../traffic/protocol.js';
import { round } from '../traffic/quantiles.js';
import { PAYLOAD_BYTES, type ScenarioName, WARM_UP_PACE } from './scenarios.js';
import type { WorkerProcess, Workers } from '../traffic/worker-process.js';

/** Where messages go, into the product or straight to the receiver, and where they are to arrive. */
export interface Way extends Pick<GenerateOrder, 'targets' | 'headers'> {
  receiver: string;
  /** Of the one account: each message arrives at all of them. */
  endpoints: number;
}

export interface Load extends Pick<GenerateOrder, 'keyed'> {
  count: number;
  pace: Pace;
}

export interface Finished {
  generated: GeneratedReport;
  collected: CollectedReport;
}

export const PATIENCE_MS = 20_000;
const CREATED_AT_ONCE = 8;

/** An account of the scenario's own, with endpoints that answer at once. */
export async function openWay(name: ScenarioName, { workers, stack }: Bench, endpoints = 1): Promise<Way> {
  const receiver = await workers.receiver.ask<string>({ kind: 'listen', behaviour: 'prompt' });
  await stack.tenant.putAccount(name);
  const urls = Array.from({ length: endpoints }, (_, i) => (endpoints === 1 ? receiver : `${receiver}${i}`));
  for (let i = 0; i < endpoints; i += CREATED_AT_ONCE) {
    const some = urls.slice(i, i + CREATED_AT_ONCE);
    await Promise.all(some.map((url) => stack.tenant.createEndpoint(name, { url })));
  }
  return { targets: [stack.target(name, 'bench.sent')], headers: stack.headers, receiver, endpoints };
}

/** What is measured afterwards is compiled and connected. */
export async function warmUp(way: Way, count: number, { workers }: Bench): Promise<void> {
  const load = await sendAll(way, { count, pace: WARM_UP_PACE }, workers);
  const lost = lostOf(load, way.endpoints);
  if (lost > 0) throw new Error(`the warm-up lost ${lost} deliveries`);
}

export async function sendAll(way: Way, load: Load, workers: Workers): Promise<Finished> {
  const generated = await publish(way, load, workers);
  return { generated, collected: await collect(way, generated.accepted, PATIENCE_MS, workers) };
}

export async function publish(
  way: Way,
  load: Load,
  { generator, receiver }: Workers,
): Promise<GeneratedReport> {
  await receiver.ask({ kind: 'reset', expected: { messages: load.count, endpoints: way.endpoints } });
  return generate(way, load, generator);
}

/** What the receivers have seen before stays with them. */
export function generate(
  { targets, headers }: Way,
  load: Load,
  generator: WorkerProcess,
): Promise<GeneratedReport> {
  const order = { ...load, targets, headers, payloadBytes: PAYLOAD_BYTES };
  return generator.ask<GeneratedReport>({ kind: 'generate', order });
}

export function collect(
  { receiver, endpoints }: Way,
  accepted: number,
  patienceMs: number,
  workers: Workers,
): Promise<CollectedReport> {
  const order = { receiver, expected: accepted * endpoints, patienceMs, partsAt: [] };
  return workers.receiver.ask<CollectedReport>({ kind: 'collect', order });
}

/** Sends it all and says what came of it and what it cost. */
export async function measureLoad(
  scenario: ScenarioName,
  run: string,
  load: Load,
  way: Way,
  bench: Bench,
): Promise<Measurement> {
  const { workers, stack } = bench;
  const meter = await Meter.start(bench);
  const finished = await sendAll(way, load, workers);
  const deliveredAt = performance.now();
  const cost = await meter.read(finished.collected.distinct);
  const restedS = round((performance.now() - deliveredAt) / 1_000, 1);
  const measured = measurementOf({ scenario, log: stack.log, run }, way.endpoints, finished, cost);
  return { ...measured, figures: { 'at rest after s': restedS } };
}

export function measurementOf(
  identity: Pick<Measurement, 'scenario' | 'log' | 'run'>,
  endpoints: number,
  finished: Finished,
  cost: RunCost,
): Measurement {
  const { generated, collected } = finished;
  const { firstAcceptedAtMs, lastAcceptedAtMs, accepted, refused, answers, acceptMs } = generated;
  return {
    ...identity,
    messages: accepted + refused.length,
    answers,
    delivered: collected.distinct,
    acceptsPerSecond: rate(accepted, firstAcceptedAtMs, lastAcceptedAtMs),
    deliveriesPerSecond: rate(collected.distinct, firstAcceptedAtMs, collected.lastReceivedAtMs),
    acceptMs,
    endToEndMs: collected.endToEndMs,
    lost: lostOf(finished, endpoints),
    duplicates: collected.duplicates,
    ...cost,
    figures: {},
  };
}

export function rate(count: number, fromMs: number, untilMs: number): number {
  return round((count * 1000) / (untilMs - fromMs), 0);
}

/** What was not accepted is owed to nobody. */
export function lostOf({ generated, collected }: Finished, endpoints: number): number {
  const excused = new Set(generated.refused);
  return collected.missing.filter((place) => !excused.has(Math.floor(place / endpoints))).length;
}
