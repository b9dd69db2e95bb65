import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import type { DeliveryAttempted, EndpointState } from '@posthaste/contracts';
import { Receiver, type ReceivedRequest } from '@posthaste/test-kit';
import { type LogUnderTest, memoryLog } from './logs.js';
import { Stage } from './stage.js';

/** Who takes part in deliveries with an access token. */
export interface TokenParties {
  stage: Stage;
  /** Gives the tokens. */
  server: Receiver;
  /** Wants one of those that are good. */
  receiver: Receiver;
  /** Of the test at hand, in order. */
  issued: string[];
  good: Set<string>;
}

/** Has a file's tests run with these parties, of which they are told before each; the dispatcher is one for them all. */
export function withTokenParties(tell: (parties: TokenParties) => void): void {
  let stage: Stage;
  let log: LogUnderTest;
  let server: Receiver;
  let receiver: Receiver;
  beforeAll(async () => {
    [server, receiver] = await Promise.all([Receiver.start(), Receiver.start()]);
    log = await memoryLog();
    stage = await Stage.prepare(log);
    await stage.start({ lane: 100 });
  }, 60_000);
  afterAll(async () => {
    await stage.close();
    await log.stop();
    await Promise.all([server.stop(), receiver.stop()]);
  });
  beforeEach(() => {
    server.requests.length = 0;
    receiver.requests.length = 0;
    tell({ stage, server, receiver, issued: [], good: new Set() });
  });
}

export function bearer({ headers }: ReceivedRequest): string {
  return /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
}

/** Publishes one message to the endpoint, and answers the attempt. */
export async function deliverTo(stage: Stage, state: EndpointState): Promise<DeliveryAttempted | undefined> {
  const [attempt] = await stage.attemptsOf([await stage.publish([state])]);
  return attempt;
}
