import { describe, expect, it } from '@jest/globals';
import { comparisonOf, ratiosOf } from './compare.js';
import { documentOf, type Measurement } from './measurement.js';
import { aMeasurement } from './proving/a-measurement.js';

const with99 = (p99: number): Pick<Measurement, 'endToEndMs'> => ({
  endToEndMs: { count: 100, p50: 2, p95: 3, p99, p999: 9, max: 9 },
});

describe('a comparison', () => {
  it('divides every figure of a run by what it was before', () => {
    const old = aMeasurement({ deliveriesPerSecond: 2_000, ...with99(40), figures: { caught_up_s: 20 } });
    const now = aMeasurement({ deliveriesPerSecond: 2_500, ...with99(10), figures: { caught_up_s: 5 } });
    expect(ratiosOf(old, now)).toEqual(
      expect.arrayContaining([
        { what: 'deliveries/s', old: 2_000, now: 2_500, ratio: 1.25 },
        { what: 'end to end p99 ms', old: 40, now: 10, ratio: 0.25 },
        { what: 'caught_up_s', old: 20, now: 5, ratio: 0.25 },
        { what: 'dispatcher: CPU s per 1,000', old: 0.2, now: 0.2, ratio: 1 },
      ]),
    );
  });

  it('leaves out what is nothing in both, and has no ratio to nothing', () => {
    const ratios = ratiosOf(aMeasurement({}), aMeasurement({ lost: 3 }));
    expect(ratios.find(({ what }) => what === 'lost')).toEqual({ what: 'lost', old: 0, now: 3, ratio: NaN });
    expect(ratios.find(({ what }) => what === 'duplicates')).toBeUndefined();
  });

  it('survives the way through a file, where what is not a number becomes null', () => {
    const measured = aMeasurement({ figures: { own_p99_once_back_ms: NaN } });
    const read = JSON.parse(JSON.stringify(measured)) as Measurement;
    const row = ratiosOf(read, read).find(({ what }) => what === 'own_p99_once_back_ms');
    expect(row).toEqual({ what: 'own_p99_once_back_ms', old: NaN, now: NaN, ratio: NaN });
  });

  it('finds its runs by scenario, log and run, and says what has no counterpart', () => {
    const old = documentOf([aMeasurement({})], 1);
    const now = documentOf([aMeasurement({}), aMeasurement({ log: 'kafka' })], 1);
    const said = comparisonOf(old, now);
    expect(said).toMatch(/^throughput, postgres log, 64 in flight +old +new +ratio$/m);
    expect(said).toContain('throughput, kafka log, 64 in flight: not in the old results');
  });

  it('warns of another scale and another machine', () => {
    const now = documentOf([aMeasurement({})], 1);
    const old = { ...documentOf([aMeasurement({})], 0.05), machine: { ...now.machine, cores: 512 } };
    const said = comparisonOf(old, now);
    expect(said).toContain('at scale 0.05, these at 1');
    expect(said).toContain('taken on 512 x');
    expect(comparisonOf(now, now)).not.toContain('taken');
  });
});
