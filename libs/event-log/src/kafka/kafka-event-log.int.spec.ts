import { jest, describe, it } from '@jest/globals';
import { kafkaForTests } from '@posthaste/test-kit';
import { eventLogConformance } from '../conformance/event-log.conformance.js';
import { CuttingProxy } from './cutting-proxy.js';
import { KafkaEventLog } from './kafka-event-log.js';

jest.setTimeout(60_000);

// The suite stops the broker, so it needs one of its own.
if (kafkaForTests()?.startOwn) {
  eventLogConformance({
    name: 'Kafka',
    start: async () => {
      const { proxy, kafka, brokers } = await CuttingProxy.beforeOwnBroker();
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
