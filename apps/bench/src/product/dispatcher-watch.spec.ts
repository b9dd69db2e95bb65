import { describe, expect, it } from '@jest/globals';
import { countsOf } from './dispatcher-watch.js';

describe('counts of a metric', () => {
  const metrics = [
    '# HELP posthaste_attempts_total Attempts by outcome',
    'posthaste_attempts_total{outcome="succeeded",otel_scope_name="dispatcher"} 41',
    'posthaste_attempts_total{otel_scope_name="dispatcher",outcome="timeout"} 2 1700000000000',
    'posthaste_deferrals_total{reason="breaker_open"} 7',
    'posthaste_lanes 3',
  ].join('\n');

  it('are those of one name by one label, wherever the label stands', () => {
    expect(countsOf(metrics, 'posthaste_attempts_total', 'outcome')).toEqual({ succeeded: 41, timeout: 2 });
    expect(countsOf(metrics, 'posthaste_deferrals_total', 'outcome')).toEqual({});
  });
});
