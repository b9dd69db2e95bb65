import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import type { Stack } from '@posthaste/local-stack';
import { Receiver, RestClient, seedTenant, type TenantClient, waitFor } from '@posthaste/test-kit';
import pg from 'pg';
import { itOn, startTestStack } from './test-stack.js';

/** Text in which a secret could be found again, with where it was found. */
type Places = Record<string, string>;

/** A secret leaks in more forms than its own: with its base64 decoded, as hex, and as bytes stored in a column. */
function formsOf(secret: string): string[] {
  const bare = secret.replace(/^whs(ec|k)_/, '');
  const bytes = Buffer.from(bare, 'base64');
  const forms = [secret, bare, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')];
  // Of a whsk_ the first half is the secret one; the other may be anywhere.
  const seed = secret.startsWith('whsk_') ? [bytes.subarray(0, 32)] : [];
  for (const part of [...(bytes.length >= 24 ? [bytes] : []), ...seed]) forms.push(part.toString('hex'));
  return [...forms, ...seed.map((part) => part.toString('base64url'))];
}

describe('secrets', () => {
  let stack: Stack;
  let receiver: Receiver;
  let database: pg.Client;
  const it = itOn(() => stack);

  beforeAll(async () => {
    stack = await startTestStack({ env: { LOG_LEVEL: 'trace' } });
    receiver = await Receiver.start();
    database = new pg.Client(stack.databaseUrl);
    database.on('error', () => undefined);
    await database.connect();
  }, 120_000);
  afterAll(async () => {
    await database.end();
    await stack.stop();
    await receiver.stop();
  }, 60_000);

  async function logFiles(): Promise<Places> {
    const folder = path.join(stack.dataDir, 'logs');
    return Object.fromEntries(
      readdirSync(folder).map((name) => [`logs/${name}`, readFileSync(path.join(folder, name), 'latin1')]),
    );
  }

  /** Every row of every schema, binary columns as hex and as text. */
  async function databaseRows(): Promise<Places> {
    const { rows } = await database.query<{ name: string; columns: string }>(
      `select format('%I.%I', table_schema, table_name) as name,
              string_agg(case data_type when 'bytea'
                         then format('encode(%1$I, ''hex'') || '' '' || encode(%1$I, ''escape'')', column_name)
                         else format('%I::text', column_name) end, ', ') as columns
         from information_schema.columns
        where table_schema not in ('pg_catalog', 'information_schema') group by 1`,
    );
    const places: Places = {};
    for (const { name, columns } of rows) {
      const found = await database.query<{ text: string }>(
        `select concat_ws(' ', ${columns}) as text from ${name}`,
      );
      places[name] = found.rows.map(({ text }) => text).join('\n');
    }
    return places;
  }

  /** A delivery to a receiver that echoes what it is sent; answers the secrets there were in it and behind it. */
  async function deliverWithToken(tenant: TenantClient): Promise<string[]> {
    const token = randomBytes(32).toString('base64url');
    const clientSecret = randomBytes(32).toString('base64url');
    const { privateKey } = generateKeyPairSync('ed25519');
    const answer = { access_token: token, token_type: 'bearer' };
    receiver.plan({ path: '/token', answers: [{ status: 200, body: JSON.stringify(answer) }] });
    receiver.plan({
      path: '/echo',
      answers: ({ headers }) => ({
        status: 200,
        body: JSON.stringify(headers),
        headers: { 'x-echo': token },
      }),
    });
    await tenant.putAccount('tokens');
    const oauth = { token_url: receiver.url('/token'), client_id: 'us' };
    const body = { url: receiver.url('/echo'), oauth: { ...oauth, client_secret: clientSecret } };
    await tenant.rest.ask('POST', '/v1/accounts/tokens/endpoints', { body });
    const jwk = privateKey.export({ format: 'jwk' });
    const signing = { method: 'private_key_jwt', assertion_audience: 'token_endpoint', private_key: jwk };
    await tenant.rest.ask('POST', '/v1/accounts/tokens/endpoints', {
      body: { ...body, enabled: false, oauth: { ...oauth, ...signing } },
    });
    await tenant.publish('tokens', 'order.placed', {});
    await waitFor(async () => (await tenant.deliveries('tokens'))[0]?.status === 'delivered', {
      what: 'the delivery with a token',
    });
    return [token, clientSecret, jwk.d ?? ''];
  }

  /** A webhook as Middesk's clients make and change one, with deliveries; answers its secrets, and all that was answered. */
  async function deliverAsMiddesk(tenant: TenantClient): Promise<{ secrets: string[]; answers: string }> {
    const fresh = () => randomBytes(32).toString('base64url');
    const [first, next, clientFirst, clientNext, token] = [fresh(), fresh(), fresh(), fresh(), fresh()];
    const answer = { access_token: token, token_type: 'bearer', expires_in: 1 };
    receiver.plan({ path: '/middesk/token', answers: [{ status: 200, body: JSON.stringify(answer) }] });
    receiver.plan({
      path: '/middesk',
      answers: ({ headers, body }) => ({ status: 200, body: JSON.stringify(headers) + body.toString() }),
    });
    await tenant.putAccount('middesk');
    const operator = new RestClient(stack.url, stack.operatorKey);
    const keys = `/v1/tenants/${tenant.id}/keys`;
    const scope = { scope: 'account', account: 'middesk' };
    const { key } = await operator.ask<{ key: string }>('POST', keys, { body: scope });
    const basic = Buffer.from(`${key}:`).toString('base64');
    const anonymous = new RestClient(stack.url);
    const answers: string[] = [];
    const send = async (method: string, path: string, body?: object) => {
      const headers = { authorization: `Basic ${basic}` };
      const sent = await anonymous.send<{ id: string }>(method, `/v1/webhooks${path}`, { body, headers });
      answers.push(sent.bytes.toString());
      return sent.json.id;
    };
    const delivered = async (count: number) => {
      await tenant.publish('middesk', 'business.created', { object: 'business', id: 'b' });
      await waitFor(
        async () => {
          const all = await tenant.deliveries('middesk');
          return all.filter(({ status }) => status === 'delivered').length === count;
        },
        { what: `delivery ${count} as Middesk's` },
      );
    };
    const id = await send('POST', '', {
      ...{ url: receiver.url('/middesk'), enabled_events: ['*'], secret: first },
      ...{ oidc_auth_method: 'client_secret', oidc_client_id: 'us', oidc_client_secret: clientFirst },
      ...{ oidc_token_endpoint: receiver.url('/middesk/token'), oidc_access_token_ttl_seconds: 60 },
    });
    await delivered(1);
    await send('PUT', `/${id}`, { secret: next, oidc_client_secret: clientNext });
    await delivered(2);
    await send('PUT', `/${id}`, { secret: first, oidc_client_secret: clientFirst, nonsense: next });
    await send('PUT', `/${id}`, { oidc_auth_method: 'private_key_jwt', oidc_client_secret: clientNext });
    for (const path of ['', `/${id}`]) await send('GET', path);
    for (const path of [
      `/v1/endpoints/${id}`,
      `/v1/endpoints/${id}/secret`,
      `/v1/endpoints/${id}/versions`,
    ]) {
      answers.push((await tenant.rest.get(path)).bytes.toString());
    }
    for (const { id: delivery } of await tenant.deliveries('middesk')) {
      answers.push((await tenant.rest.get(`/v1/deliveries/${delivery}/attempts`)).bytes.toString());
    }
    const forms = receiver.at('/middesk/token').map(({ body }) => new URLSearchParams(body.toString()));
    expect(forms.map((form) => form.get('client_secret'))).toEqual([clientFirst, clientNext]);
    return {
      secrets: [first, next, clientFirst, clientNext, token, key, basic],
      answers: answers.join('\n'),
    };
  }

  it('show up in no log file, no record, no row and no problem', async () => {
    const tenant = await seedTenant(stack.url, stack.operatorKey);
    await tenant.putAccount('canary');
    receiver.plan({ path: '/canary', answers: [500, 200] });
    const { id } = await tenant.createEndpoint('canary', {
      url: receiver.url('/canary'),
      retry_policy: { schedule_seconds: [0.2] },
    });
    const secrets = [await tenant.secretOf(id)];
    await tenant.rest.ask('POST', `/v1/endpoints/${id}/secret/rotate`, { body: {} });
    secrets.push(await tenant.secretOf(id));
    await tenant.rest.ask('POST', `/v1/endpoints/${id}/secret/rotate`, { body: { version: 'v1a' } });
    secrets.push(await tenant.secretOf(id));
    await tenant.rest.ask('POST', `/v1/endpoints/${id}/test`, { body: {} });
    await tenant.publish('canary', 'order.placed', {});
    await waitFor(async () => (await tenant.deliveries('canary'))[0]?.status === 'delivered', {
      what: 'the canary delivered',
    });
    secrets.push(...(await deliverWithToken(tenant)));
    const asMiddesk = await deliverAsMiddesk(tenant);
    secrets.push(...asMiddesk.secrets);
    const key = tenant.rest.key ?? '';
    const { keks, pepper } = JSON.parse(readFileSync(path.join(stack.dataDir, 'secrets.json'), 'utf8')) as {
      keks: string;
      pepper: string;
    };
    const hidden = [...secrets, key, stack.operatorKey, pepper, keks.slice(keks.indexOf(':') + 1)];
    expect(new Set(hidden).size).toBe(17);

    const refused = [
      await tenant.rest.send('POST', '/v1/tenants', { body: { name: key } }),
      await new RestClient(stack.url, `${key}x`).send('GET', '/v1/accounts'),
      await tenant.rest.send('POST', '/v1/accounts/canary/endpoints', { body: { secret: secrets[0] } }),
      await tenant.rest.send('GET', `/v1/accounts?cursor=${key}`),
    ];
    expect(refused.every(({ status }) => status >= 400)).toBe(true);
    const problems = Object.fromEntries(refused.map(({ bytes }, n) => [`problem ${n}`, bytes.toString()]));
    const history = await tenant.rest.send('GET', '/v1/accounts/canary/deliveries');
    const [{ id: withToken } = { id: '' }] = await tenant.deliveries('tokens');
    const attempts = await tenant.rest.send('GET', `/v1/deliveries/${withToken}/attempts`);
    expect(attempts.bytes.toString()).toContain('Bear... (50 characters)');

    // The services write their logs in chunks; a stop flushes them.
    const services = ['management-api', 'dispatcher', 'retry-scheduler', 'audit-log'];
    const rows = await databaseRows();
    await Promise.all(services.map((name) => stack.process(name).stop()));
    const places: Places = {
      ...(await logFiles()),
      ...rows,
      ...problems,
      history: history.bytes.toString(),
      attempts: attempts.bytes.toString(),
      middesk: asMiddesk.answers,
    };
    for (const service of services) expect(places[`logs/${service}.log`]?.length).toBeGreaterThan(0);
    // The search finds what is there: the endpoint's id is in the rows of the log and of the history.
    expect(Object.keys(rows).filter((name) => rows[name]?.includes(id)).length).toBeGreaterThan(2);

    const leaks = Object.entries(places).flatMap(([place, text]) =>
      hidden.flatMap((secret, n) =>
        formsOf(secret).some((form) => text.includes(form)) ? [`secret ${n} in ${place}`] : [],
      ),
    );
    expect(leaks).toEqual([]);
  }, 120_000);
});
