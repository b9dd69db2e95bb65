import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { DeliveryAttempted, EndpointState, MessageMeta, SecretKind } from '@posthaste/contracts';
import { Receiver, type ReceivedRequest, waitFor } from '@posthaste/test-kit';
import { newSigningSecret } from '@posthaste/wire';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { memoryLog } from './logs.js';
import { type Published, Stage } from './stage.js';

// Deliveries of the profiles, from the log to receivers that verify as the products' own documents say.

jest.setTimeout(30_000);

let receiver: Receiver;
let log: Awaited<ReturnType<typeof memoryLog>>;
let stage: Stage;

beforeAll(async () => {
  receiver = await Receiver.start();
  log = await memoryLog();
  stage = await Stage.prepare(log);
  await stage.start();
}, 60_000);
afterAll(async () => {
  await stage.close();
  await log.stop();
  await receiver.stop();
});

type Profile = 'ada' | 'linkup' | 'middesk';
const profiles: Profile[] = ['ada', 'linkup', 'middesk'];
const kindOf = (profile: Profile): SecretKind => (profile === 'ada' ? 'v1' : 'text');

let paths = 0;
/** An endpoint of the profile with a path and a secret of its own. */
async function endpoint(profile: Profile, fields: Partial<EndpointState> = {}) {
  const path = `/${profile}-${++paths}`;
  const secret = newSigningSecret(kindOf(profile));
  const { state } = stage.newEndpoint(receiver.url(path), { profile, ...fields });
  if (!fields.secrets) state.secrets = [stage.sealSecret(state.id, secret, { version: kindOf(profile) })];
  await stage.configure(state);
  return { state, path, secret };
}

/** The next version of it, with these secrets, the newest first. */
async function resealed(
  state: EndpointState,
  kind: SecretKind,
  secrets: [string, number | null][],
): Promise<EndpointState> {
  const sealed = secrets.map(([text, expiresAt]) =>
    stage.sealSecret(state.id, text, { version: kind, expiresAt }),
  );
  const next = { ...state, version: state.version + 1, secrets: sealed };
  await stage.configure(next);
  return next;
}

async function deliver(state: EndpointState, payload?: string, facts?: Partial<MessageMeta>) {
  const published = await stage.publish([state], payload, facts);
  const [attempt] = await stage.attemptsOf([published]);
  return { published, attempt };
}

async function retried(published: Published, payload?: string): Promise<DeliveryAttempted | undefined> {
  await stage.publishAgain(published, 2, payload);
  const events = await stage.eventsOf(published.deliveries[0], 2);
  return events.filter((event) => event.type === 'DeliveryAttempted').at(-1);
}

const hmac = (secret: string, ...parts: (string | Buffer)[]): string => {
  const mac = createHmac('sha256', secret);
  for (const part of parts) mac.update(part);
  return mac.digest('hex');
};
const header = ({ headers }: ReceivedRequest, name: string): string => String(headers[name]);

/** Whether a receiver that holds the secret takes the request, as each product's documents have it. */
const verifies: Record<Profile, (secret: string, request: ReceivedRequest) => boolean> = {
  ada: (secret, request) => {
    const headers = request.headers as Record<string, string>;
    // Svix's library prefers its own names, and must verify by the others, too.
    const withoutSvix = Object.entries(headers).filter(([name]) => !name.startsWith('svix-'));
    const verdicts = [
      () => new SvixWebhook(secret).verify(request.body, headers),
      () => new SvixWebhook(secret).verify(request.body, Object.fromEntries(withoutSvix)),
      () => new StandardWebhook(secret).verify(request.body, headers),
    ].map((verify) => {
      try {
        verify();
        return true;
      } catch {
        return false;
      }
    });
    expect(new Set(verdicts).size).toBe(1);
    return verdicts[0] === true;
  },
  linkup: (secret, request) => {
    const timestamp = header(request, 'x-linkup-timestamp');
    if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
    const expected = `v1=${hmac(secret, `${timestamp}.`, request.body)}`;
    return header(request, 'x-linkup-signature') === expected;
  },
  middesk: (secret, request) => {
    const expected = hmac(secret, request.body);
    expect(request.headers['x-middesk-signature']).toBe(request.headers['x-middesk-signature-256']);
    return header(request, 'x-middesk-signature-256') === expected;
  },
};

describe.each(profiles)('a delivery of profile %s', (profile) => {
  it('verifies with the secret of its endpoint and with no other', async () => {
    const { state, path, secret } = await endpoint(profile);
    const { attempt } = await deliver(state);
    expect(attempt).toMatchObject({ profile, outcome: 'succeeded', decision: { kind: 'delivered' } });
    const [request] = receiver.at(path) as [ReceivedRequest];
    expect(verifies[profile](secret, request)).toBe(true);
    expect(verifies[profile](newSigningSecret(kindOf(profile)), request)).toBe(false);
    expect(verifies[profile](secret, { ...request, body: Buffer.from('{}') })).toBe(false);
  });

  it('says the same thing at its next attempt, with a time of its own', async () => {
    const { state, path, secret } = await endpoint(profile);
    receiver.plan({ path, answers: [500, 200] });
    const { published, attempt } = await deliver(state);
    expect(attempt?.decision).toMatchObject({ kind: 'retry' });
    const [first] = receiver.at(path) as [ReceivedRequest];
    const second = Math.floor((attempt?.startedAt ?? 0) / 1000);
    // Timestamps are whole seconds.
    await waitFor(() => (Math.floor(Date.now() / 1000) > second ? true : null), { what: 'the next second' });
    expect(await retried(published)).toMatchObject({ attempt: 2, outcome: 'succeeded' });
    const [, again] = receiver.at(path) as [ReceivedRequest, ReceivedRequest];
    expect(again.body).toEqual(first.body);
    expect([first, again].map(({ webhookId }) => webhookId)).toEqual([published.meta.id, published.meta.id]);
    for (const request of [first, again]) expect(verifies[profile](secret, request)).toBe(true);
    if (profile === 'middesk') return;
    const name = { ada: 'svix-timestamp', linkup: 'x-linkup-timestamp' }[profile];
    expect(Number(header(again, name))).toBeGreaterThan(Number(header(first, name)));
  });

  it('fails when it is redirected, and is not sent there', async () => {
    const { state, path } = await endpoint(profile);
    const to = { status: 301, headers: { location: receiver.url(`${path}-moved`) } };
    receiver.plan({ path, answers: [to] });
    const { attempt } = await deliver(state);
    expect(attempt).toMatchObject({ outcome: 'failed', error: { class: 'http_redirect' } });
    expect(receiver.at(`${path}-moved`)).toEqual([]);
  });

  it('leaves no secret in what is kept of it, even when the receiver sends it back', async () => {
    const { state, path, secret } = await endpoint(profile);
    receiver.plan({
      path,
      answers: [{ status: 200, body: `you hold ${secret}`, headers: { 'x-echo': secret } }],
    });
    const { attempt } = await deliver(state);
    const body = Buffer.from(attempt?.response?.body ?? '', 'base64').toString();
    expect(body).toBe('you hold [hidden]');
    expect(attempt?.response?.headers['x-echo']).toBe('[hidden]');
    expect(JSON.stringify(attempt)).not.toContain(secret);
  });
});

describe('after a rotation', () => {
  it('Ada verifies with the old and with the new secret, until the old one has ended', async () => {
    const { state, path, secret: old } = await endpoint('ada');
    const fresh = newSigningSecret('v1');
    const both = await resealed(state, 'v1', [
      [fresh, null],
      [old, Date.now() + 86_400_000],
    ]);
    await deliver(both);
    const one = await resealed(both, 'v1', [
      [fresh, null],
      [old, Date.now() - 1],
    ]);
    await deliver(one);
    const [during, after] = receiver.at(path) as [ReceivedRequest, ReceivedRequest];
    expect([fresh, old].map((secret) => verifies.ada(secret, during))).toEqual([true, true]);
    expect([fresh, old].map((secret) => verifies.ada(secret, after))).toEqual([true, false]);
    expect(header(during, 'svix-signature')).toMatch(/^v1,\S{44} v1,\S{44}$/);
  });

  it.each(['linkup', 'middesk'] as const)('%s verifies with the new secret alone', async (profile) => {
    const { state, path, secret: old } = await endpoint(profile);
    await deliver(state);
    const fresh = newSigningSecret('text');
    await deliver(await resealed(state, 'text', [[fresh, null]]));
    const requests = receiver.at(path);
    expect(
      requests.map((request) => [old, fresh].map((secret) => verifies[profile](secret, request))),
    ).toEqual([
      [true, false],
      [false, true],
    ]);
  });

  it.each(['linkup', 'middesk'] as const)('%s is not signed without a secret', async (profile) => {
    const { state, path } = await endpoint(profile, { secrets: [] });
    const { attempt } = await deliver(state);
    expect(attempt?.outcome).toBe('succeeded');
    const [request] = receiver.at(path) as [ReceivedRequest];
    expect(Object.keys(request.headers).filter((name) => /signature|timestamp/.test(name))).toEqual([]);
  });
});

describe('what acknowledges', () => {
  it.each<[Profile, number, 'succeeded' | 'failed']>([
    ['linkup', 200, 'succeeded'],
    ['linkup', 201, 'failed'],
    ['linkup', 204, 'failed'],
    ['middesk', 204, 'succeeded'],
    ['middesk', 201, 'succeeded'],
    ['ada', 204, 'succeeded'],
  ])('%s, answered with %i: %s', async (profile, status, outcome) => {
    const { state, path } = await endpoint(profile);
    receiver.plan({ path, answers: [status] });
    const { attempt } = await deliver(state);
    const kind = outcome === 'succeeded' ? 'delivered' : 'retry';
    expect(attempt).toMatchObject({ outcome, response: { status }, decision: { kind } });
    const message = 'The endpoint answered, but not with a status that acknowledges the message.';
    expect(attempt?.error).toEqual(outcome === 'succeeded' ? undefined : { class: 'http_status', message });
  });
});

describe('the body', () => {
  const at = Date.parse('2026-03-12T10:00:00.000Z');

  it('of Ada has type, time, tags and the payload as it was published', async () => {
    const { state, path } = await endpoint('ada');
    await deliver(state, '{ "n": 1.10 }', { at, type: 'v1.x.y', tags: ['u1'] });
    expect(receiver.at(path)[0]?.body.toString()).toBe(
      '{"type":"v1.x.y","timestamp":"2026-03-12T10:00:00.000+00:00","data":{ "n": 1.10 },"tags":["u1"]}',
    );
  });

  it('of LinkUp has the account as its tenant calls it', async () => {
    const { state, path } = await endpoint('linkup');
    await deliver(state, '{ "n": 1.10 }', { at, subject: { uid: 'acme', name: 'Acme "Ltd"' } });
    expect(receiver.at(path)[0]?.body.toString()).toBe(
      '{"account_id":"acme","account_name":"Acme \\"Ltd\\"","event":{ "n": 1.10 },"timestamp":"2026-03-12T10:00:00Z"}',
    );
  });

  it('of Middesk has what the endpoint includes, and its header the correlation id', async () => {
    const { state, path } = await endpoint('middesk', { include: ['addresses'] });
    const business = '{ "id": "b1", "external_id": "e1", "n": 1.10, "addresses": [ 1.0 ], "tin": {"a": 1} }';
    await deliver(state, business, { at, type: 'business.created' });
    const [request] = receiver.at(path) as [ReceivedRequest];
    expect(request.headers).toMatchObject({
      'content-type': 'application/json',
      'x-correlation-id': 'e1',
    });
    const id = '"id":"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"';
    expect(request.body.toString().replace(new RegExp(id), '"id":"?"')).toBe(
      '{"object":"event","id":"?","type":"business.created","data":{"object":' +
        '{"id": "b1","external_id": "e1","n": 1.10,"addresses": [ 1.0 ]}' +
        '},"created_at":"2026-03-12T10:00:00.000Z"}',
    );
  });
});
