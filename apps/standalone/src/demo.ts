import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Stack, writePrivately } from '@posthaste/local-stack';
import { type ApiClient, ApiError, apiClient } from './api-client.js';
import { type FacadeKeys, newFacadeKeys } from './facade-keys.js';

/**
 * The demo a first start leaves behind: a tenant with a key, an account with keys for clients of other products, an
 * event type, an endpoint that points at play, and one message delivered to it, all made through the REST API. What
 * must be known at the next start is in `demo.json`; every step looks for what an interrupted start has made already.
 */
export interface Demo {
  tenantId: string;
  tenantKey: string;
  keys: FacadeKeys;
  endpointId: string;
  inboxUrl: string;
}

export interface DemoDelivery {
  messageId: string;
  /** From the publishing call to the receiver. */
  deliveredInMs: number;
  signature: { valid: boolean; reason?: string };
  /** As the history tells it; undefined when it did not in time. */
  attempts: number | undefined;
}

interface DemoState {
  tenant: { id: string; key: string };
  playToken: string;
  /** Absent after a start of a version that had none. */
  keys?: FacadeKeys;
  endpointId?: string;
  published?: true;
}

interface PlayReceiver {
  token: string;
  receive_url: string;
  inbox_url: string;
}

const ACCOUNT = 'demo-account';
const EVENT_TYPE = 'invoice.paid';
const PAYLOAD = { type: EVENT_TYPE, invoice: 'inv_1001', amount: 4200, currency: 'EUR' };
const ARRIVAL_TIMEOUT_MS = 20_000;
const HISTORY_TIMEOUT_MS = 15_000;

/** The demo, found or made. `delivery` is there when a message was published: the first time, and when asked. */
export async function prepareDemo(
  stack: Stack,
  publishes: boolean,
): Promise<{ demo: Demo; delivery: DemoDelivery | undefined }> {
  const file = path.join(stack.dataDir, 'demo.json');
  const play = apiClient(stack.playUrl, '');
  const found = (await knownState(file, stack.url)) ?? (await newTenant(file, stack, play));
  const api = apiClient(stack.url, found.tenant.key);
  const receiver = await play.call<PlayReceiver>('GET', `/api/receivers/${found.playToken}`);
  const endpointId = await endpointAt(api, found, receiver.receive_url);
  const operator = apiClient(stack.url, stack.operatorKey);
  const keys = found.keys ?? (await newFacadeKeys(operator, found.tenant.id, ACCOUNT));
  const state: DemoState = { ...found, endpointId, keys };
  writePrivately(file, state);
  const secret = await api.call<{ key: string }>('GET', `/v1/endpoints/${endpointId}/secret`);
  // Play forgets its receivers when it stops.
  await play.call('PUT', `/api/receivers/${state.playToken}`, { secret: secret.key });
  const demo: Demo = {
    tenantId: state.tenant.id,
    tenantKey: state.tenant.key,
    keys,
    endpointId,
    inboxUrl: receiver.inbox_url,
  };
  if (state.published && !publishes) return { demo, delivery: undefined };
  const delivery = await publishOne(api, play, state.playToken);
  writePrivately(file, { ...state, published: true });
  return { demo, delivery };
}

export function publishCommand(url: string, key: string): string {
  const body = JSON.stringify({ event_type: EVENT_TYPE, payload: { ...PAYLOAD, invoice: 'inv_1002' } });
  return [
    `curl -X POST ${url}/v1/accounts/${ACCOUNT}/messages \\`,
    `  -H 'authorization: Bearer ${key}' \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '${body}'`,
  ].join('\n');
}

/** What demo.json says, if its tenant is still there: the database may be another one than last time. */
async function knownState(file: string, url: string): Promise<DemoState | undefined> {
  if (!existsSync(file)) return undefined;
  const state = JSON.parse(readFileSync(file, 'utf8')) as DemoState;
  try {
    await apiClient(url, state.tenant.key).call('GET', '/v1/accounts?limit=1');
    return state;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return undefined;
    throw error;
  }
}

async function newTenant(file: string, stack: Stack, play: ApiClient): Promise<DemoState> {
  const operator = apiClient(stack.url, stack.operatorKey);
  const { id } = await operator.call<{ id: string }>('POST', '/v1/tenants', { name: 'Demo' });
  const made = await operator.call<{ key: string }>('POST', `/v1/tenants/${id}/keys`, {
    name: 'npm start',
    scope: 'tenant',
  });
  const { token } = await play.call<PlayReceiver>('POST', '/api/receivers');
  const state: DemoState = { tenant: { id, key: made.key }, playToken: token };
  // The key is shown once: from here on a lost file would mean a lost tenant.
  writePrivately(file, state);
  return state;
}

/** The demo's endpoint, pointed at play's present address. */
async function endpointAt(api: ApiClient, state: DemoState, url: string): Promise<string> {
  if (state.endpointId !== undefined) {
    const known = await api.call<{ url: string }>('GET', `/v1/endpoints/${state.endpointId}`);
    if (known.url !== url) await api.call('PATCH', `/v1/endpoints/${state.endpointId}`, { url });
    return state.endpointId;
  }
  await api.call('PUT', `/v1/accounts/${ACCOUNT}`, { name: 'Demo account' });
  await api
    .call('POST', '/v1/event-types', { name: EVENT_TYPE, description: 'An invoice was paid in full.' })
    .catch((error: unknown) => {
      if (!(error instanceof ApiError) || error.status !== 409) throw error;
    });
  const path = `/v1/accounts/${ACCOUNT}/endpoints`;
  const { data } = await api.call<{ data: { id: string; url: string }[] }>('GET', path);
  const left = data.find((endpoint) => endpoint.url === url);
  if (left !== undefined) return left.id;
  const made = await api.call<{ id: string }>('POST', path, { url, description: 'Play, the test receiver' });
  return made.id;
}

async function publishOne(api: ApiClient, play: ApiClient, token: string): Promise<DemoDelivery> {
  const startedAt = Date.now();
  const { id } = await api.call<{ id: string }>('POST', `/v1/accounts/${ACCOUNT}/messages`, {
    event_type: EVENT_TYPE,
    payload: PAYLOAD,
  });
  const arrived = await arrivalOf(play, token, id);
  return {
    messageId: id,
    deliveredInMs: Date.parse(arrived.received_at) - startedAt,
    signature: arrived.signature,
    attempts: await attemptsInHistory(api, id),
  };
}

interface Arrival {
  seq: number;
  received_at: string;
  headers: [string, string][];
  signature: { valid: boolean; reason?: string };
}

async function arrivalOf(play: ApiClient, token: string, messageId: string): Promise<Arrival> {
  const deadline = Date.now() + ARRIVAL_TIMEOUT_MS;
  for (let after = 0; Date.now() < deadline;) {
    const query = `after=${after}&wait_ms=${Math.max(1, deadline - Date.now())}`;
    const { data } = await play.call<{ data: Arrival[] }>('GET', `/api/receivers/${token}/requests?${query}`);
    const found = data.find(({ headers }) =>
      headers.some(([name, value]) => name === 'webhook-id' && value === messageId),
    );
    if (found !== undefined) return found;
    after = data.at(-1)?.seq ?? after;
  }
  throw new Error(
    `message ${messageId} was accepted but did not arrive within ${ARRIVAL_TIMEOUT_MS / 1000} s`,
  );
}

async function attemptsInHistory(api: ApiClient, messageId: string): Promise<number | undefined> {
  const deadline = Date.now() + HISTORY_TIMEOUT_MS;
  while (Date.now() < deadline) {
    const { data } = await api.call<{
      data: { message_id: string; status: string; attempts: number }[];
    }>('GET', `/v1/accounts/${ACCOUNT}/deliveries?limit=50`);
    const delivery = data.find(({ message_id, status }) => message_id === messageId && status !== 'pending');
    if (delivery !== undefined) return delivery.attempts;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return undefined;
}
