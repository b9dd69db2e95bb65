import { jest, describe, it } from '@jest/globals';
import { kafkaForTests, waitFor } from '@posthaste/test-kit';
import kafkajs from 'kafkajs';
import { eventLogConformance } from '../conformance/event-log.conformance.js';
import { FILLER_KEY, readAll, type TextTopic, textRecord } from '../conformance/harness.js';
import { CuttingProxy } from './cutting-proxy.conformance.js';
import { createKafkaClient } from './kafka-client.js';
import { KafkaEventLog } from './kafka-event-log.js';

jest.setTimeout(60_000);

// The suite stops the broker, so it needs one of its own.
if (kafkaForTests()?.startOwn) {
  eventLogConformance({
    name: 'Kafka',
    isSharedByProcesses: true,
    patienceMs: 1_500,
    start: async () => {
      const { proxy, kafka, brokers } = await CuttingProxy.beforeOwnBroker({ 'log.cleaner.backoff.ms': 100 });
      const [node] = kafka.nodes;
      const patience = { sessionTimeoutMs: 6_000 };
      return {
        open: ({ hooks = {}, ...tuning } = {}) =>
          KafkaEventLog.open({ brokers, clientId: 'conformance', hooks, tuning: { ...patience, ...tuning } }),
        childOptions: { kind: 'kafka', brokers, clientId: 'child', tuning: patience },
        stopBroker: async () => node?.kill('SIGKILL'),
        startBroker: async () => node?.start(),
        loseAcknowledgements: async () => {
          proxy.cutAnswers(Infinity);
          return async () => proxy.cutAnswers(0);
        },
        stallFetching: async () => {
          proxy.holdFetches(true);
          return async () => proxy.holdFetches(false);
        },
        compact: (topic) => compact(brokers, topic),
        stop: async () => {
          await kafka.stop();
          proxy.close();
        },
      };
    },
  });
} else {
  describe.skip('the log on Kafka', () => it('needs a broker of its own', () => undefined));
}

/** Kafka cleans what is behind the segment it writes to: fillers make it begin new ones until all is cleaned. */
async function compact(brokers: string[], topic: Pick<TextTopic, 'name'>): Promise<void> {
  const admin = createKafkaClient({ brokers, clientId: 'compact', hooks: {} }).admin();
  await admin.connect();
  const eager = { 'cleanup.policy': 'compact', 'segment.ms': '20', 'min.cleanable.dirty.ratio': '0.001' };
  const configEntries = Object.entries(eager).map(([name, value]) => ({ name, value }));
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic.name, configEntries };
  await admin.alterConfigs({ validateOnly: false, resources: [resource] });
  await admin.disconnect();
  const log = await KafkaEventLog.open({ brokers, clientId: 'compact' });
  const isClean = async (): Promise<boolean> => {
    await log.producer.append([textRecord(topic, FILLER_KEY, 'x')]);
    const keys = (await readAll(log, topic)).map((record) => record.key).filter((key) => key !== FILLER_KEY);
    return new Set(keys).size === keys.length;
  };
  await waitFor(isClean, { what: 'the cleaner', deadlineMs: 45_000, everyMs: 100 });
  await log.close();
}
