import type { GenerateOrder } from './protocol.js';

export const scenarioNames = ['throughput', 'latency'] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export interface Scenario {
  name: ScenarioName;
  count: number;
  payloadBytes: number;
  pace: GenerateOrder['pace'];
  /** Sent before, 64 at a time, and not counted. */
  warmUp: number;
}

/** As much at a time as the throughput scenario: what is measured afterwards is compiled and connected. */
export const WARM_UP_PACE = { inFlight: 64 };
export const PAYLOAD_BYTES = 1_024;

/** The two every figure of another product was taken with; the sizes may be made smaller for a quick look. */
export function scenarioOf(name: ScenarioName, sizes: { count?: number; warmUp?: number }): Scenario {
  const warmUp = sizes.warmUp ?? 5_000;
  switch (name) {
    case 'throughput':
      return {
        name,
        count: sizes.count ?? 20_000,
        payloadBytes: PAYLOAD_BYTES,
        pace: { inFlight: 64 },
        warmUp,
      };
    case 'latency':
      // 200 a second for 20 s.
      return {
        name,
        count: sizes.count ?? 4_000,
        payloadBytes: PAYLOAD_BYTES,
        pace: { perSecond: 200 },
        warmUp,
      };
  }
}
