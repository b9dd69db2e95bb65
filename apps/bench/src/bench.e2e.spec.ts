import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BenchDocument, type Measurement, nameOf } from './results/measurement.js';
import { scenarioNames } from './scenarios/scenarios.js';

/** The smallest form of every scenario that `npm run bench` runs by itself. Its figures say nothing; their shape does. */
const main = path.resolve(import.meta.dirname, '../../../dist/apps/bench/main.js');
const SMALLEST = ['--scale', '0.01', '--one-stack'];
const LIMIT_MS = 300_000;

const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-bench-'));
const json = path.join(folder, 'smallest.json');
let ended: { code: number | null; said: string };
let taken: BenchDocument;

async function bench(args: string[]): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, said };
}

beforeAll(async () => {
  ended = await bench([...SMALLEST, '--json', json]);
  if (ended.code !== 0)
    throw new Error(`the benchmark ended with ${ended.code}:\n${ended.said.slice(-4_000)}`);
  taken = JSON.parse(readFileSync(json, 'utf8')) as BenchDocument;
}, LIMIT_MS);
afterAll(() => rmSync(folder, { recursive: true }));

const productRuns = (): Measurement[] => taken.results.filter(({ scenario }) => scenario !== 'calibration');
const runOf = (scenario: Measurement['scenario'], last = true): Measurement => {
  const found = taken.results.filter((measured) => measured.scenario === scenario).at(last ? -1 : 0);
  if (found === undefined) throw new Error(`${scenario} was not run`);
  return found;
};

describe('the benchmark in its smallest form', () => {
  it('runs every scenario, after a calibration without the product', () => {
    expect([...new Set(taken.results.map(({ scenario }) => scenario))]).toEqual([
      'calibration',
      ...scenarioNames,
    ]);
    expect(taken).toMatchObject({ format: 1, scale: 0.01, machine: { node: process.version } });
    expect(new Set(taken.results.map(nameOf)).size).toBe(taken.results.length);
  });

  it('delivers every message that was accepted, once', () => {
    for (const measured of taken.results) {
      const { lost, duplicates, answers, messages } = measured;
      expect([nameOf(measured), lost, duplicates]).toEqual([nameOf(measured), 0, 0]);
      expect(Object.values(answers).reduce((sum, count) => sum + count, 0)).toBe(messages);
    }
  });

  it('says of every run how fast, how late, at what cost and how much was written', () => {
    for (const {
      endToEndMs,
      deliveriesPerSecond,
      processes,
      bytesPerDelivery,
      ...measured
    } of productRuns()) {
      const { p50, p95, p99, p999 } = endToEndMs;
      expect([p50, p95, p99, p999]).toEqual([p50, p95, p99, p999].sort((a, b) => a - b));
      expect(p50).toBeGreaterThan(0);
      expect(deliveriesPerSecond).toBeGreaterThan(0);
      expect(bytesPerDelivery.postgresWal).toBeGreaterThan(1_024);
      expect(bytesPerDelivery.kafkaLog).toBe(0);
      expect(measured.cpuMsPerDelivery).toBeGreaterThan(0);
      expect(measured.benchmarkCpuMs).toBeGreaterThanOrEqual(0);
      const names = ['audit-log', 'dispatcher', 'management-api', 'postgres', 'retry-scheduler'];
      expect(Object.keys(processes).sort()).toEqual(names);
      for (const { peakRssMb } of Object.values(processes)) expect(peakRssMb).toBeGreaterThan(10);
    }
  });

  it('says what only one scenario measures', () => {
    const { messages, delivered } = runOf('fan-out');
    expect(delivered).toBe(50 * messages);
    expect(runOf('isolation').figures).toHaveProperty('healthy_p99_to_before');
    expect(runOf('backlog').figures['drained_to_live']).toBeGreaterThan(0);
    const storm = runOf('retry-storm');
    expect(storm.delivered).toBe(storm.messages);
    expect(storm.fault?.recovery?.retries.length).toBeGreaterThan(0);
    expect(runOf('idempotent-publish').figures).toMatchObject({ repeats_answered_otherwise: 0 });
    expect(runOf('idempotent-publish').figures['repeats']).toBeGreaterThan(0);
    expect(runOf('history-reads').figures).toMatchObject({ reads_refused: 0 });
    expect(runOf('history-reads').figures['read_explain_p99_ms']).toBeGreaterThan(0);
  });

  it('prints all runs in one table, and compares and plans from what it wrote', async () => {
    expect(ended.said).toMatch(/^run +deliveries\/s +p50 ms +p95 +p99 +p99\.9 +CPU ms each/m);
    const page = path.join(folder, 'capacity.md');
    const again = await bench(['--from', json, '--compare', json, '--capacity', page]);
    expect(again.code).toBe(0);
    expect(again.said).toMatch(/^ +deliveries\/s +(\d+) +\1 +1$/m);
    expect(readFileSync(page, 'utf8')).toContain('deliveries/s.');
  });
});
