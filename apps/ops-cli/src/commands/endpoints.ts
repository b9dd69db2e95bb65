import type { Endpoint } from '@posthaste/contracts';
import type { Command } from '../command.js';
import { fieldsOf } from '../output.js';
import { instant } from '../quantities.js';
import { accountPath, listAnswer, pageOf } from './accounts.js';
import { changeEach } from './change-each.js';

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
  switched('enable', 'deliver to endpoints again'),
  switched('disable', 'stop delivering to endpoints, and cancel what they wait for'),
];
