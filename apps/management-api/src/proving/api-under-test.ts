import type { Permission } from '@posthaste/contracts';
import { createLogger, Health, readConfig, startTelemetry } from '@posthaste/runtime';
import { RestClient, seedTenant, type TenantClient } from '@posthaste/test-kit';
import { ManagementApiConfig } from '../config.js';
import { startManagementApi } from '../start.js';

/** The service as its users meet it: over HTTP, with a real database and the log on it. */
export interface ApiUnderTest {
  url: string;
  health: Health;
  operator: RestClient;
  /** A client that sends the key; none: no key. */
  as(key?: string): RestClient;
  newTenant(name?: string): Promise<TenantClient>;
  /** A client with a new key of one account. */
  accountClient(tenant: TenantClient, account: string, permissions?: Permission[]): Promise<RestClient>;
  stop(): Promise<void>;
}

export const OPERATOR_KEY = 'operator-key-of-the-tests-0123456789';
export const KEKS = `k1:${Buffer.alloc(32, 7).toString('base64')}`;
const PEPPER = 'pepper-of-the-tests-0123456789abcdef';

export async function startApi(databaseUrl: string, env: Record<string, string> = {}): Promise<ApiUnderTest> {
  const config = readConfig(ManagementApiConfig, {
    DATABASE_URL: databaseUrl,
    OPS_PORT: '0',
    HTTP_PORT: '0',
    HISTORY_GRPC: '127.0.0.1:1',
    DISPATCH_GRPC: '127.0.0.1:1',
    POSTHASTE_SCALE: 'single',
    POSTHASTE_OPERATOR_KEY: OPERATOR_KEY,
    POSTHASTE_KEY_PEPPER: PEPPER,
    POSTHASTE_KEKS: KEKS,
    POSTHASTE_EGRESS_ALLOW: '127.0.0.0/8',
    POSTHASTE_EGRESS_DENY: 'posthaste.example.com',
    ADA_RATE_LIMITS: 'off',
    ...env,
  });
  const { logger } = createLogger('management-api', 'silent');
  const health = new Health();
  const telemetry = startTelemetry({ service: 'management-api' });
  const fatal = (error: unknown): never => {
    throw error;
  };
  const api = await startManagementApi({ config, logger, health, telemetry, fatal });
  const { url } = api;
  const as = (key?: string) => new RestClient(url, key);
  const operator = as(OPERATOR_KEY);
  return {
    url,
    health,
    operator,
    as,
    newTenant: (name = 'a tenant') => seedTenant(url, OPERATOR_KEY, name),
    accountClient: async ({ id }, account, permissions) => {
      const body = { scope: 'account', account, permissions };
      return as((await operator.ask<{ key: string }>('POST', `/v1/tenants/${id}/keys`, { body })).key);
    },
    stop: () => api.stop(),
  };
}
