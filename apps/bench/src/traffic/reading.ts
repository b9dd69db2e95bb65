import { exchange, pathOf, poolFor } from './exchange.js';
import { PacedLoop } from './paced-loop.js';
import type { ReadOrder, ReadReport } from './protocol.js';
import { quantilesOf } from './quantiles.js';
import { nowMs } from './stamped-payload.js';

/** Whoever looks at the history: requests without a body, by kind. */
export async function readAll(order: ReadOrder): Promise<ReadReport> {
  const { headers, count, pace } = order;
  const targets = order.targets.map(({ url, kind }) => ({ path: pathOf(url), kind }));
  const pool = poolFor(order.targets[0]?.url, pace);
  const answers: Record<string, number> = {};
  const timesMs = new Map<string, number[]>();
  let refused = 0;
  const loop: PacedLoop = new PacedLoop(count, pace, (seq, sentAtMs) => {
    const target = targets[seq % targets.length];
    if (target === undefined) throw new Error('there is nothing to read');
    exchange(pool, { method: 'GET', path: target.path, headers }, (status) => {
      const answer = status === 0 ? 'error' : String(status);
      answers[answer] = (answers[answer] ?? 0) + 1;
      if (status < 200 || status > 299) refused++;
      const times = timesMs.get(target.kind) ?? [];
      timesMs.set(target.kind, times);
      times.push(nowMs() - sentAtMs);
      loop.answered();
    });
  });
  await loop.run();
  await pool.close();
  const byKind = [...timesMs].map(([kind, times]) => [kind, quantilesOf(Float64Array.from(times))] as const);
  return {
    answers,
    refused,
    answerMs: quantilesOf(Float64Array.from([...timesMs.values()].flat())),
    byKind: Object.fromEntries(byKind),
  };
}
