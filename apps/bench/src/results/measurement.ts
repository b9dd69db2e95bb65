import os from 'node:os';
import type { LogKind } from '../product/bench-stack.js';
import type { FaultDetails } from '../scenarios/run-faults.js';
import type { RunCost } from '../product/meter.js';
import type { Quantiles } from '../traffic/quantiles.js';
import type { ScenarioName } from '../scenarios/scenarios.js';

/**
 * One run of a scenario, as it is printed, written down and compared: the same fields for every scenario, and under
 * `figures` what only this one measures. Quantiles of nothing are NaN, which JSON writes as null.
 */
export interface Measurement extends RunCost {
  scenario: ScenarioName | 'calibration';
  log: LogKind | 'none';
  /** Which of the scenario's runs. */
  run: string;
  messages: number;
  answers: Record<string, number>;
  delivered: number;
  acceptsPerSecond: number;
  /** From the first accept to the last delivery; of a backlog, from the first delivery. */
  deliveriesPerSecond: number;
  acceptMs: Quantiles;
  /** From the moment a message was sent, or should have been, until it arrived; of the accounts that are well. */
  endToEndMs: Quantiles;
  /** Acknowledged, and never received. */
  lost: number;
  duplicates: number;
  /** By name; the unit is the name's end, a ratio has none. */
  figures: Record<string, number>;
  fault?: FaultDetails;
}

export interface BenchDocument {
  format: 1;
  takenAt: string;
  machine: { cores: number; cpu: string; memoryGb: number; system: string; node: string };
  /** 1 is the whole; what is smaller is for trying out. */
  scale: number;
  results: Measurement[];
}

export function documentOf(results: Measurement[], scale: number): BenchDocument {
  const cpus = os.cpus();
  return {
    format: 1,
    takenAt: new Date().toISOString(),
    machine: {
      cores: cpus.length,
      cpu: cpus[0]?.model.trim() ?? '',
      memoryGb: Math.round(os.totalmem() / 2 ** 30),
      system: `${os.type()} ${os.arch()}`,
      node: process.version,
    },
    scale,
    results,
  };
}

/** What tells one run from all others of a document. */
export function nameOf({ scenario, log, run }: Pick<Measurement, 'scenario' | 'log' | 'run'>): string {
  return [scenario, log === 'none' ? '' : `${log} log`, run].filter(Boolean).join(', ');
}
