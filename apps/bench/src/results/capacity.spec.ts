import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { capacityPage, needOf, partsOf } from './capacity.js';
import { documentOf, type Measurement } from './measurement.js';
import { aMeasurement } from './proving/a-measurement.js';

const parts = partsOf(aMeasurement({}));
const fullAt = Object.fromEntries(parts.map(({ name, limit }) => [name, Math.round(limit)]));

describe('what is full first', () => {
  it('follows from the partitions for what reads the log, and from one server for PostgreSQL', () => {
    // 60 % of a core carries 600 ms a second: 3,000 deliveries of 0.2 ms, 48 times; 2,000 of 0.3 ms, 64 times.
    expect(fullAt).toEqual({
      'management-api': Infinity,
      dispatcher: 144_000,
      'audit-log': 288_000,
      'retry-scheduler': 576_000,
      postgres: 128_000,
    });
  });
});

describe('what a rate needs', () => {
  it('is one of each as long as little is to do', () => {
    const { units, machines, installations } = needOf(parts, 100);
    expect(new Set(Object.values(units))).toEqual(new Set([1]));
    expect([machines, installations]).toEqual([1, 1]);
  });

  it('is computed from the cost of each part', () => {
    // At 9,000/s a dispatcher is busy for 1,800 ms a second, which takes three at 60 %.
    const { units, machines, memoryGb } = needOf(parts, 9_000);
    expect(units).toEqual({
      'management-api': 3,
      dispatcher: 3,
      'audit-log': 2,
      'retry-scheduler': 1,
      postgres: 5,
    });
    expect(machines).toBe(1);
    // Nine of 150 MB.
    expect(memoryGb).toBe(2);
  });

  it('counts in whole partitions', () => {
    // 2,940 ms a second would take five at 60 %, but of 48 partitions one of five has ten: 612 ms.
    expect(needOf(parts, 14_700).units['dispatcher']).toBe(6);
    expect(needOf(parts, 14_000).units['dispatcher']).toBe(5);
  });

  it('is spread over installations once a part is full, and never needs less for more', () => {
    expect(needOf(parts, 128_000).installations).toBe(1);
    expect(needOf(parts, 128_001).installations).toBe(2);
    const rate = fc.integer({ min: 1, max: 2_000_000 });
    fc.assert(
      fc.property(rate, rate, (a, b) => {
        const [less, more] = [needOf(parts, Math.min(a, b)), needOf(parts, Math.max(a, b))];
        expect(more.installations).toBeGreaterThanOrEqual(less.installations);
        for (const { name, limit } of parts) {
          expect(more.perSecond / more.installations).toBeLessThanOrEqual(limit);
          const { cpuMs } = parts.find((part) => part.name === name) ?? { cpuMs: NaN };
          expect((more.units[name] ?? 0) * 600).toBeGreaterThanOrEqual(more.perSecond * cpuMs - 1e-6);
        }
      }),
    );
  });
});

describe('the page', () => {
  it('has a section for each log, and names what is full first', () => {
    const kafka = aMeasurement({
      log: 'kafka',
      processes: {
        dispatcher: { cpuSecondsPer1000: 0.3, peakRssMb: 150 },
        kafka: { cpuSecondsPer1000: 0.1, peakRssMb: 500 },
      },
    });
    const page = capacityPage(
      documentOf([aMeasurement({}), kafka, aMeasurement({ scenario: 'latency' })], 1),
    );
    expect(page.match(/^## .*log$/gm)).toEqual(['## PostgreSQL log', '## Kafka log']);
    expect(page).toContain('**postgres** is full first, at 128,000 deliveries/s');
    expect(page).toContain('**dispatcher** is full first, at 96,000 deliveries/s');
    expect(page).toMatch(/^\| +1,000,000 \|/m);
    expect(page).not.toContain('NaN');
  });

  it('takes the run of the median cost of those that were repeated', () => {
    const costing = (cpuMsPerDelivery: number): Measurement =>
      aMeasurement({
        run: `costs ${cpuMsPerDelivery}`,
        cpuMsPerDelivery,
        processes: { postgres: { cpuSecondsPer1000: cpuMsPerDelivery, peakRssMb: 100 } },
      });
    const page = capacityPage(documentOf([costing(0.9), costing(0.6), costing(0.8)], 1));
    expect(page.match(/^## .*log$/gm)).toEqual(['## PostgreSQL log']);
    expect(page).toContain('**postgres** is full first, at 48,000 deliveries/s');
  });

  it('says that figures of a small scale say little, and that bytes were not measured', () => {
    const nothing = { postgresWal: 0, kafkaLog: 0 };
    const page = capacityPage(documentOf([aMeasurement({ bytesPerDelivery: nothing })], 0.05));
    expect(page).toContain('at scale 0.05');
    expect(page).toContain('was not measured');
  });

  it('is not made from results without the scenario throughput', () => {
    expect(() => capacityPage(documentOf([aMeasurement({ scenario: 'latency' })], 1))).toThrow('throughput');
  });
});
