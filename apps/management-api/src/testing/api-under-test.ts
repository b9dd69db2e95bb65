import { createLogger, Health, readConfig, startTelemetry } from '@posthaste/runtime';
import { ManagementApiConfig } from '../config.js';
import { startManagementApi } from '../start.js';

/** The service as its users meet it: over HTTP, with a real database and the log on it. */
export interface ApiUnderTest {
  url: string;
  health: Health;
  as(key: string): Caller;
  operator: Caller;
  /** A tenant with one key. */
  newTenant(name?: string): Promise<TenantUnderTest>;
  stop(): Promise<void>;
}

export interface TenantUnderTest {
  id: string;
  key: string;
  api: Caller;
  accountApi(account: string): Promise<Caller>;
}

export interface Answer {
  status: number;
  headers: Headers;
  body: Body;
  text: string;
}

export type Body = { [name: string]: Body } & Body[] & string & number & boolean;

export interface Caller {
  key: string;
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  put(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  patch(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  delete(path: string, headers?: Record<string, string>): Promise<Answer>;
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export const OPERATOR_KEY = 'operator-key-of-the-tests-0123456789';
const PEPPER = 'pepper-of-the-tests-0123456789abcdef';

export async function startApi(databaseUrl: string, env: Record<string, string> = {}): Promise<ApiUnderTest> {
  const config = readConfig(ManagementApiConfig, {
    DATABASE_URL: databaseUrl,
    OPS_PORT: '0',
    HTTP_PORT: '0',
    HISTORY_GRPC: '127.0.0.1:1',
    POSTHASTE_SCALE: 'single',
    POSTHASTE_OPERATOR_KEY: OPERATOR_KEY,
    POSTHASTE_KEY_PEPPER: PEPPER,
    POSTHASTE_KEKS: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
    POSTHASTE_EGRESS_ALLOW: '127.0.0.0/8',
    ...env,
  });
  const { logger } = createLogger('management-api', 'silent');
  const health = new Health();
  const api = await startManagementApi({
    config,
    logger,
    health,
    telemetry: startTelemetry({ service: 'management-api' }),
  });
  const as = (key: string) => caller(api.url, key);
  const operator = as(OPERATOR_KEY);
  return {
    url: api.url,
    health,
    as,
    operator,
    newTenant: async (name = 'a tenant') => newTenant(operator, as, name),
    stop: () => api.stop(),
  };
}

async function newTenant(
  operator: Caller,
  as: (key: string) => Caller,
  name: string,
): Promise<TenantUnderTest> {
  const { body: tenant } = await operator.post('/v1/tenants', { name });
  const makeKey = async (body: unknown) =>
    (await operator.post(`/v1/tenants/${tenant.id}/keys`, body)).body.key;
  const key = await makeKey({ scope: 'tenant' });
  return {
    id: tenant.id,
    key,
    api: as(key),
    accountApi: async (account) => as(await makeKey({ scope: 'account', account })),
  };
}

function caller(url: string, key: string): Caller {
  const send: Caller['send'] = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    const parsed = (isJson && text !== '' ? JSON.parse(text) : {}) as Body;
    return { status: response.status, headers: response.headers, body: parsed, text };
  };
  return {
    key,
    send,
    get: (path, headers) => send('GET', path, undefined, headers),
    post: (path, body, headers) => send('POST', path, body, headers),
    put: (path, body, headers) => send('PUT', path, body, headers),
    patch: (path, body, headers) => send('PATCH', path, body, headers),
    delete: (path, headers) => send('DELETE', path, undefined, headers),
  };
}
