import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Stack, type StackOptions, startStack } from '@posthaste/local-stack';
import { kafkaForTests, type KafkaForTests } from '@posthaste/test-kit';

/** What the tests run is what was built: the services' bundles. */
export const distDir = path.resolve(import.meta.dirname, '../../../dist');

/** A stack on free ports in a temporary folder. */
export async function startTestStack(options: Partial<StackOptions> = {}): Promise<Stack> {
  if (!existsSync(path.join(distDir, 'apps/management-api/main.js'))) {
    throw new Error('the services are not built: run npm run build first');
  }
  return startStack({ distDir, play: false, ...options });
}

export interface LogToTest {
  log: 'postgres' | 'kafka';
  start: (options?: Partial<StackOptions>) => Promise<Stack>;
}

/** The logs the suites run on here; without Kafka only PostgreSQL's. */
export function logsToTest(): LogToTest[] {
  const kafka = kafkaForTests();
  return [
    { log: 'postgres', start: startTestStack },
    ...(kafka === undefined ? [] : [{ log: 'kafka' as const, start: startOnKafka(kafka) }]),
  ];
}

/** On a broker of its own where one can be had: a shared one holds other suites' topics. */
function startOnKafka(kafka: KafkaForTests): LogToTest['start'] {
  return async (options = {}) => {
    const cluster = await (kafka.startOwn?.({}) ?? kafka.connect());
    const brokers = 'bootstrap' in cluster ? cluster.bootstrap : cluster.brokers;
    const stack = await startTestStack({ ...options, log: 'kafka', brokers });
    const stopStack = stack.stop.bind(stack);
    return Object.assign(stack, { stop: () => stopStack().finally(() => cluster.stop()) });
  };
}
