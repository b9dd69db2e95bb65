import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, it } from '@jest/globals';
import { type EventLog, openEventLog } from '@posthaste/event-log';
import { type KafkaNode, type Stack, type StackOptions, startStack } from '@posthaste/local-stack';
import {
  kafkaForTests,
  type KafkaForTests,
  Receiver,
  seedTenant,
  type TenantClient,
  waitFor,
} from '@posthaste/test-kit';
import pg from 'pg';

/** What the tests run is what was built: the services' bundles. */
export const distDir = path.resolve(import.meta.dirname, '../../../dist');

/** A stack on free ports in a temporary folder. */
export async function startTestStack(options: Partial<StackOptions> = {}): Promise<Stack> {
  if (!existsSync(path.join(distDir, 'apps/management-api/main.js'))) {
    throw new Error('the services are not built: run npm run build first');
  }
  // Tests wait for history, and are on the same machine.
  return startStack({ distDir, play: false, historyYields: false, ...options });
}

export interface LogToTest {
  log: 'postgres' | 'kafka';
  start: (options?: Partial<StackOptions>) => Promise<Stack>;
  /** The log of a stack started here, to look into. */
  openLog: (stack: Stack) => Promise<EventLog>;
  /** Ends the log's servers, and answers how to bring them back; undefined where they are not ours. */
  takeAway: ((stack: Stack) => Promise<() => Promise<void>>) | undefined;
}

/** The logs the suites run on here; without Kafka only PostgreSQL's. */
export function logsToTest(): LogToTest[] {
  const kafka = kafkaForTests();
  return [
    {
      log: 'postgres',
      start: startTestStack,
      openLog: (stack) => openEventLog({ kind: 'postgres', url: stack.databaseUrl }),
      takeAway: async (stack) => {
        await stack.process('postgres').stop();
        return () => stack.process('postgres').start();
      },
    },
    ...(kafka === undefined ? [] : [onKafka(kafka)]),
  ];
}

/** On a broker of its own where one can be had: a shared one holds other suites' topics. */
function onKafka(kafka: KafkaForTests): LogToTest {
  const clusters = new WeakMap<Stack, { brokers: string[]; nodes: KafkaNode[] }>();
  const clusterOf = (stack: Stack): { brokers: string[]; nodes: KafkaNode[] } => {
    const cluster = clusters.get(stack);
    if (cluster === undefined) throw new Error('this stack was not started here');
    return cluster;
  };
  return {
    log: 'kafka',
    start: async (options = {}) => {
      const cluster = await (kafka.startOwn?.({}) ?? kafka.connect());
      const isOwn = 'bootstrap' in cluster;
      const brokers = isOwn ? cluster.bootstrap : cluster.brokers;
      const stack = await startTestStack({ ...options, log: 'kafka', brokers });
      const stopStack = stack.stop.bind(stack);
      clusters.set(stack, { brokers, nodes: isOwn ? cluster.nodes : [] });
      return Object.assign(stack, { stop: () => stopStack().finally(() => cluster.stop()) });
    },
    openLog: (stack) => openEventLog({ kind: 'kafka', brokers: clusterOf(stack).brokers, clientId: 'e2e' }),
    takeAway:
      kafka.startOwn &&
      (async (stack) => {
        const { nodes } = clusterOf(stack);
        await Promise.all(nodes.map((node) => node.kill('SIGKILL')));
        return async () => {
          await Promise.all(nodes.map((node) => node.start()));
        };
      }),
  };
}

export interface Parties {
  stack: Stack;
  receiver: Receiver;
  tenant: TenantClient;
  /** Eyes into the stack's PostgreSQL. */
  database: pg.Client;
}

/** Has the tests of a `describe` run on a stack with a tenant and somebody who receives; they are told of these first. */
export function withParties(start: () => Promise<Stack>, tell: (parties: Parties) => void): void {
  let stack: Stack;
  let receiver: Receiver;
  let database: pg.Client;
  beforeAll(async () => {
    stack = await start();
    receiver = await Receiver.start();
    database = new pg.Client(stack.databaseUrl);
    // A test may end PostgreSQL under it.
    database.on('error', () => undefined);
    await database.connect();
    tell({ stack, receiver, database, tenant: await seedTenant(stack.url, stack.operatorKey) });
  }, 180_000);
  afterAll(async () => {
    await database.end();
    await stack.stop();
    await receiver.stop();
  }, 60_000);
}

/** The first answer that is not 503: a history that is behind, on a machine that tests keep busy, says so. */
export function fromHistory<T extends { status: number }>(ask: () => Promise<T>): Promise<T> {
  const inTime = async (): Promise<T | undefined> => {
    const answer = await ask();
    return answer.status === 503 ? undefined : answer;
  };
  return waitFor(inTime, { what: 'an answer from history', deadlineMs: 30_000 });
}

const TAIL_LINES = 15;

/** A little above what the waits inside a test allow, so that it is they who say what is missing. */
const TEST_LIMIT_MS = 90_000;

/** Jest's `it` for tests on a stack: a failure ends with what the services last had to say. */
export function itOn(
  stack: () => Stack | undefined,
): (name: string, test: () => Promise<void>, limitMs?: number) => void {
  return (name, test, limitMs = TEST_LIMIT_MS) => {
    const telling = async (): Promise<void> => {
      try {
        await test();
      } catch (error) {
        const running = stack();
        if (error instanceof Error && running) error.message += `\n\n${logTails(running.dataDir)}`;
        throw error;
      }
    };
    it(name, telling, limitMs);
  };
}

/** Of each log the last warnings and errors, else its last line. */
function logTails(dataDir: string): string {
  const folder = path.join(dataDir, 'logs');
  return readdirSync(folder)
    .map((name) => {
      const lines = readFileSync(path.join(folder, name), 'utf8').trim().split('\n');
      const troubles = lines.filter((line) => !/^\{"level":[123]0,/.test(line)).slice(-TAIL_LINES);
      return `${name}:\n${(troubles.length > 0 ? troubles : lines.slice(-1)).map(shortly).join('\n')}`;
    })
    .join('\n\n');
}

/** A service's line without stack traces and what hangs on an error; any other line as it is. */
function shortly(line: string): string {
  try {
    const { time, msg, err } = JSON.parse(line) as { time: string; msg: string; err?: { message: string } };
    return `  ${time} ${msg} ${err?.message ?? ''}`;
  } catch {
    return `  ${line.slice(0, 500)}`;
  }
}
