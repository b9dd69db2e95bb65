import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { afterEach, expect, it } from '@jest/globals';
import { endOf, forkSource } from '@posthaste/test-kit';
import type { EventLog } from '../port.js';
import type { ChildMessage, ChildOrder } from './child.main.js';
import { eventually, type LogUnderTest, Member, newGroup, newTopic, readAll, textRecord } from './harness.js';

/** Processes that are killed and frozen, against logs that outlive a process. */
export function crashConformance(underTest: () => LogUnderTest): void {
  const children: ChildProcess[] = [];
  let log: EventLog | undefined;
  let survivor: Member | undefined;
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await survivor?.consumer.stop();
    survivor = undefined;
    await log?.close();
    log = undefined;
  });

  const spawnChild = (
    order: Omit<ChildOrder, 'open'>,
    onMessage: (message: ChildMessage) => void,
  ): ChildProcess => {
    const open = underTest().childOptions;
    if (!open) throw new Error('the harness does not say how another process opens the log');
    const program = path.join(import.meta.dirname, 'child.main.ts');
    const child = forkSource(program, [JSON.stringify({ ...order, open })]);
    child.on('message', (message) => onMessage(message as ChildMessage));
    children.push(child);
    return child;
  };

  it('still has every acknowledged record after kill -9 of the process that appended', async () => {
    log = await underTest().open();
    const topic = newTopic(3);
    await log.admin.ensureTopics([topic], 'single');
    const acknowledged: string[] = [];
    const child = spawnChild({ role: 'append', topic: topic.name }, ({ texts }) =>
      acknowledged.push(...texts),
    );
    await eventually('a thousand are acknowledged', () => acknowledged.length > 1_000);
    child.kill('SIGKILL');
    await endOf(child);
    const stored = new Set((await readAll(log, topic)).map((record) => record.value.toString()));
    expect(acknowledged.filter((text) => !stored.has(text))).toEqual([]);
  }, 60_000);

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    it(`loses no record when a member of the group gets ${signal}`, async () => {
      log = await underTest().open();
      const topic = newTopic(4);
      const group = newGroup();
      await log.admin.ensureTopics([topic], 'single');
      const takenByChild = new Set<string>();
      const child = spawnChild({ role: 'consume', topic: topic.name, group }, ({ texts }) => {
        for (const text of texts) takenByChild.add(text);
      });
      const taker = await Member.join(log, group, [topic], { commitsItself: true });
      survivor = taker;
      const acknowledged: string[] = [];
      let producing = true;
      const producer = log.producer;
      const load = (async () => {
        for (let n = 0; producing; n++) {
          await producer.append([textRecord(topic, `k${n % 50}`, `${n}`)]);
          acknowledged.push(`${n}`);
        }
      })();
      await eventually('both take records', () => takenByChild.size > 50 && taker.owned.size === 2);
      child.kill(signal);
      await eventually('the survivor owns everything', () => taker.owned.size === 4, 40_000);
      producing = false;
      await load;
      const isTaken = (text: string): boolean => takenByChild.has(text) || taker.texts().includes(text);
      await eventually('the last record is taken', () => isTaken(acknowledged.at(-1) ?? ''));
      const taken = new Set([...takenByChild, ...taker.texts()]);
      await eventually('all are taken', () => {
        for (const text of taker.texts()) taken.add(text);
        return acknowledged.every((text) => taken.has(text));
      });
      const twice = taker.texts().filter((text) => takenByChild.has(text)).length;
      console.info(`${signal}: ${acknowledged.length} records, ${twice} taken by both`);
    }, 90_000);
  }
}
