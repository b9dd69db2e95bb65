import { type DeliveryAttempted, deliveryId, newId, type SendTestRequest } from '@posthaste/contracts';
import type { ConfigCache } from '../config-cache/config-cache.js';
import type { KnownEndpoint } from '../config-cache/known-endpoint.js';
import { makeAttempt, type Outbound } from '../send/attempt.js';
import { Places } from './places.js';

/**
 * Test messages, sent at once for a person who waits for the answer. One is made as every attempt is (guard, headers,
 * signature, limits), with an id of its own and `webhook-test: true`, so that a receiver can tell it from traffic.
 *
 * Nothing is counted: no event, no retry, no lane, no effect of a 410 or of a failure. A disabled endpoint can be
 * tested, for how else would one find out that it works again; a deleted one cannot.
 */
export type TestResult =
  | { kind: 'attempted'; attempt: DeliveryAttempted }
  /** Too many tests are under way. */
  | { kind: 'busy' }
  /** Its configuration has not arrived here, or its secrets cannot be opened. */
  | { kind: 'not_ready' };

/** A person tests one endpoint at a time; a script must not find a second way to send traffic. */
const MOST_PER_ENDPOINT = 2;
const MOST_PER_TENANT = 10;
const MOST = 50;
const CONFIG_WAIT_MS = 2_000;

export interface TestSendsOptions extends Outbound {
  configCache: ConfigCache;
  onSecretsUnreadable(endpoint: string, error: unknown): void;
}

export class TestSends {
  private readonly places = new Places();

  constructor(private readonly options: TestSendsOptions) {}

  async send(request: SendTestRequest): Promise<TestResult> {
    const { tenant, endpoint } = request;
    const release = this.places.take({
      [endpoint]: MOST_PER_ENDPOINT,
      [tenant]: MOST_PER_TENANT,
      all: MOST,
    });
    if (release === null) return { kind: 'busy' };
    try {
      return await this.attempt(request);
    } finally {
      release();
    }
  }

  private async attempt({ tenant, endpoint, version, ...request }: SendTestRequest): Promise<TestResult> {
    const { configCache } = this.options;
    const known = await configCache.whenAtLeast(endpoint, version, CONFIG_WAIT_MS);
    const flagged = known?.state.tenant === tenant ? this.flagged(known) : null;
    if (!known || !flagged || known.goneBecause === 'endpoint_deleted') return { kind: 'not_ready' };
    const { account } = known.state;
    const now = Date.now();
    const id = newId('message', now);
    const delivery = deliveryId(id, endpoint);
    const { event_type: type, subject } = request;
    const facts = { type, subject, contentType: 'application/json', at: now };
    const message = { v: 1 as const, id, tenant, account, ...facts, config: known.state.config, routes: [] };
    const job = { delivery, message, endpoint, attempt: 1, trigger: 'publish' as const };
    const owed = { ...job, payload: request.payload };
    const attempt = await makeAttempt(this.options, owed, flagged, () => undefined);
    return { kind: 'attempted', attempt };
  }

  private flagged(known: KnownEndpoint): KnownEndpoint | null {
    try {
      return known.flagged('webhook-test');
    } catch (error) {
      this.options.onSecretsUnreadable(known.state.id, error);
      return null;
    }
  }
}
