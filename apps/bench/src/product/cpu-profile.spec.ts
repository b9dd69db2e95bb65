import { describe, expect, it } from '@jest/globals';
import { type CpuProfile, topSelfTimes } from './cpu-profile.js';

const node = (id: number, functionName: string, url = ''): CpuProfile['nodes'][number] => ({
  id,
  callFrame: { functionName, url, lineNumber: 6 },
});

describe('the top of a CPU profile', () => {
  it('adds up the self time of a function wherever it was called from, and leaves idle time out', () => {
    const profile: CpuProfile = {
      nodes: [
        node(1, '(idle)'),
        node(2, 'sign', 'file:///x/dist/apps/dispatcher/main.js'),
        node(3, 'sign', 'file:///x/dist/apps/dispatcher/main.js'),
        node(4, 'write', 'file:///x/node_modules/undici/lib/client.js'),
        node(5, '(garbage collector)'),
      ],
      samples: [1, 2, 3, 4, 5],
      timeDeltas: [900_000, 30_000, 20_000, 40_000, 10_000],
    };
    expect(topSelfTimes(profile, 2)).toEqual([
      { where: 'sign main.js:7', ms: 50, share: 50 },
      { where: 'write undici/lib/client.js:7', ms: 40, share: 40 },
    ]);
  });
});
