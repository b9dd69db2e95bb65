import type { Endpoint, EndpointStats } from '@posthaste/contracts';
import type { Command } from '../command.js';
import { type Cell, fieldsOf } from '../output.js';
import { instant } from '../quantities.js';
import { accountPath, listAnswer, pageOf } from './accounts.js';
import { changeEach } from './change-each.js';
import { rangeOf } from './deliveries.js';

const stateOf = ({ enabled }: Endpoint): string => (enabled ? 'enabled' : 'disabled');
const pathOf = (id: string): string => `/v1/endpoints/${encodeURIComponent(id)}`;

const list: Command = {
  name: 'endpoints list',
  says: "list an account's endpoints, newest first",
  options: ['account', 'limit', 'cursor'],
  run: async (given, context) => {
    const path = `${await accountPath(given, context)}/endpoints`;
    const page = await context.api().list<Endpoint>(path, pageOf(given));
    const titles = ['id', 'state', 'why', 'url', 'event types'];
    return listAnswer(page, titles, (endpoint) => [
      endpoint.id,
      stateOf(endpoint),
      endpoint.disabled_reason,
      endpoint.mode === 'feed' ? '(feed)' : endpoint.url,
      endpoint.event_types.join(',') || 'all',
    ]);
  },
};

const show: Command = {
  name: 'endpoints show',
  says: 'show an endpoint and how it has been answering, or how it was set up',
  takes: { words: '<id>', least: 1, most: 1 },
  options: ['at', 'attempt', 'version'],
  run: async ({ words: [id = ''], options: { at, attempt, version } }, context) => {
    const then = at === undefined ? undefined : instant('at', at, context.nowMs());
    const endpoint = await context.api().get<Endpoint>(pathOf(id), { at: then, attempt, version });
    return { kind: 'data', json: endpoint, blocks: [fieldsOf(endpoint)] };
  },
};

const stats: Command = {
  name: 'endpoints stats',
  says: 'show how many attempts succeeded and failed, and how long they took, minute by minute',
  takes: { words: '<id>', least: 1, most: 1 },
  options: ['since', 'until', 'resolution'],
  run: async (given, context) => {
    const [id = ''] = given.words;
    const { since, until } = rangeOf(given, context);
    const query = { since, until, resolution: given.options.resolution };
    const found = await context.api().get<EndpointStats>(`${pathOf(id)}/stats`, query);
    const cells = ({ delivered, failed, deferred, latency_ms: ms }: EndpointStats['total']): Cell[] => [
      ...[delivered, failed, deferred],
      ...[ms?.p50, ms?.p95, ms?.p99],
    ];
    const happened = found.data.filter((point) => point.delivered + point.failed + point.deferred > 0);
    const rows = [...happened.map((point) => [point.at, ...cells(point)]), ['total', ...cells(found.total)]];
    const titles = ['at', 'delivered', 'failed', 'deferred', 'p50 ms', 'p95 ms', 'p99 ms'];
    return { kind: 'data', json: found, blocks: [{ titles, rows }] };
  },
};

const switched = (verb: 'enable' | 'disable', says: string): Command => ({
  name: `endpoints ${verb}`,
  says,
  takes: { words: '<id>...', least: 1, most: Infinity },
  options: ['dry-run', 'yes'],
  run: (given, context) => {
    const api = context.api();
    return changeEach(given, {
      read: async (id) => stateOf(await api.get<Endpoint>(pathOf(id))),
      wanted: () => `${verb}d`,
      change: async (id) => stateOf(await api.post<Endpoint>(`${pathOf(id)}/${verb}`)),
    });
  },
});

export const endpoints = [
  list,
  show,
  stats,
  switched('enable', 'deliver to endpoints again'),
  switched('disable', 'stop delivering to endpoints, and cancel what they wait for'),
];
