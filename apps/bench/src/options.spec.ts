import { describe, expect, it } from '@jest/globals';
import { HELP, readOptions } from './options.js';
import { longScenarioNames, scenarioNames } from './scenarios/scenarios.js';

describe('the options of the benchmark', () => {
  it('are all scenarios but the long ones, whole, on the PostgreSQL log, when nothing is said', () => {
    expect(readOptions([])).toMatchObject({ scenarios: [...scenarioNames], logs: ['postgres'], scale: 1 });
  });

  it('name scenarios and logs, each once and in its order', () => {
    const options = readOptions(['--scenario', 'soak,latency,throughput,latency', '--log', 'both']);
    expect(options).toMatchObject({
      scenarios: ['throughput', 'latency', 'soak'],
      logs: ['postgres', 'kafka'],
    });
  });

  it('make runs smaller by a scale or to an exact number', () => {
    const options = readOptions(['--scale', '0.05', '--warm-up', '7']);
    if (options === 'help' || 'wrong' in options) throw new Error('they are right');
    expect([options.sizes.count(20_000), options.sizes.warmUp()]).toEqual([1_000, 7]);
    const exact = readOptions(['--count', '30']);
    if (exact === 'help' || 'wrong' in exact) throw new Error('they are right');
    expect([exact.sizes.count(20_000), exact.sizes.warmUp()]).toEqual([30, 5_000]);
  });

  it.each([
    [['--scenario', 'latncy'], 'latncy'],
    [['--log', 'files'], 'files'],
    [['--scale', '0'], '--scale'],
    [['--count', 'many'], '--count'],
    [['--faster'], '--faster'],
  ])('%j is told what is wrong', (args, named) => {
    const { wrong } = readOptions(args) as { wrong: string };
    expect(wrong).toContain(named);
  });

  it('have every scenario in the help', () => {
    for (const name of [...scenarioNames, ...longScenarioNames]) expect(HELP).toContain(` ${name} `);
  });
});
