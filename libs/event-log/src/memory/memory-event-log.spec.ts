import { describe, expect, it, jest } from '@jest/globals';
import { eventLogConformance } from '../conformance/event-log.conformance.js';
import { eventually, Member, newGroup, newTopic, textRecord } from '../conformance/harness.js';
import { MemoryBroker } from './memory-broker.js';
import { MemoryEventLog } from './memory-event-log.js';

jest.setTimeout(60_000);

eventLogConformance({
  name: 'memory',
  isSharedByProcesses: false,
  patienceMs: 200,
  start: async () => {
    const broker = new MemoryBroker();
    return {
      open: async (tuning = {}) => new MemoryEventLog({ broker, ...tuning }),
      stopBroker: async () => broker.stopAnswering(),
      startBroker: async () => broker.answerAgain(),
      loseAcknowledgements: async () => {
        broker.loseAcknowledgements(Infinity);
        return async () => broker.loseAcknowledgements(0);
      },
      stallFetching: async () => {
        broker.stallFetching(true);
        return async () => broker.stallFetching(false);
      },
      compact: async () => broker.compact(),
      stop: async () => undefined,
    };
  },
});

describe('the bad days of the log in memory', () => {
  it('hands records out twice when told to', async () => {
    const log = new MemoryEventLog();
    const topic = newTopic(1);
    await log.admin.ensureTopics([topic], 'single');
    await log.producer.append(['a', 'b', 'c'].map((text) => textRecord(topic, 'k', text)));
    const member = await Member.join(log, newGroup(), [topic]);
    await eventually('all arrive', () => member.taken.length === 3);
    log.broker.duplicateFetches(1);
    await log.producer.append([textRecord(topic, 'k', 'd')]);
    await eventually('they arrive again', () => member.texts().join('') === 'abcabcd');
    await member.consumer.stop();
  });

  it('takes all partitions away and gives them back', async () => {
    const log = new MemoryEventLog();
    const topic = newTopic(3);
    await log.admin.ensureTopics([topic], 'single');
    const group = newGroup();
    const member = await Member.join(log, group, [topic]);
    expect(member.assignments).toHaveLength(3);
    await log.broker.forceRebalance(group);
    expect(member.assignments).toHaveLength(6);
    expect(member.owned.size).toBe(3);
    await member.consumer.stop();
  });
});
