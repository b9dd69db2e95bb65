import type { Account, Delivery } from '@posthaste/contracts';
import type { Api } from '../api.js';
import type { Command } from '../command.js';
import { readinessOf } from '../ops.js';
import type { Cell } from '../output.js';
import { endpointsOf } from './accounts.js';

/** What can be counted in a few requests: more accounts are for a monitoring system. */
const ACCOUNTS_LOOKED_AT = 10;
const LATEST = 100;

export const status: Command = {
  name: 'status',
  says: 'how the installation is, and what became of the latest deliveries',
  options: [],
  run: async (_, context) => {
    const { url, from, ops } = context.target();
    const counted = await countOf(context.api(), context.target().account);
    const services = await Promise.all(
      Object.entries(ops).map(async ([service, opsUrl]) => ({ service, ...(await readinessOf(opsUrl)) })),
    );
    const { accounts, endpoints, latest_deliveries } = counted;
    const deliveries = Object.entries(latest_deliveries).map(([name, count]) => `${count} ${name}`);
    const fields: [string, Cell][] = [
      ['server', url],
      ['settings', from],
      ...services.map(({ service, kind }): [string, Cell] => [service, kind]),
      ['accounts', `${accounts.looked_at}${accounts.has_more ? ' looked at, there are more' : ''}`],
      ['endpoints', `${endpoints.enabled} enabled, ${endpoints.disabled} disabled`],
      ['latest deliveries', deliveries.join(', ') || 'none'],
    ];
    return {
      kind: 'data',
      json: { url, from, services, ...counted },
      blocks: [{ fields }],
      isBad: services.some(({ kind }) => kind !== 'ready'),
    };
  },
};

async function countOf(api: Api, account: string | undefined) {
  const limit = ACCOUNTS_LOOKED_AT;
  const found =
    account === undefined
      ? await api.list<Account>('/v1/accounts', { limit })
      : { data: [await api.get<Account>(`/v1/accounts/${encodeURIComponent(account)}`)], has_more: false };
  const endpoints = { enabled: 0, disabled: 0 };
  const latest: Record<string, number> = {};
  for (const { id } of found.data) {
    const path = `/v1/accounts/${id}`;
    for (const { enabled } of (await endpointsOf(api, path)).data)
      endpoints[enabled ? 'enabled' : 'disabled']++;
    const { data } = await api.list<Delivery>(`${path}/deliveries`, { limit: LATEST });
    for (const delivery of data) latest[delivery.status] = (latest[delivery.status] ?? 0) + 1;
  }
  const accounts = { looked_at: found.data.length, has_more: found.has_more };
  return { accounts, endpoints, latest_deliveries: latest };
}
