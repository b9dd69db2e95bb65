import type { Replay } from '@posthaste/contracts';
import type { Command } from '../command.js';
import { type Block, fieldsOf } from '../output.js';
import { listAnswer, pageOf } from './accounts.js';
import { changeEach } from './change-each.js';

export const replayPath = (id: string): string => `/v1/replays/${encodeURIComponent(id)}`;

const list: Command = {
  name: 'replay list',
  says: 'list replays, newest first',
  options: ['limit', 'cursor'],
  run: async (given, context) => {
    const page = await context.api().list<Replay>('/v1/replays', pageOf(given));
    const titles = [
      'id',
      'status',
      'endpoint',
      'since',
      'until',
      'total',
      'requested',
      'succeeded',
      'failed',
      'by',
    ];
    return listAnswer(page, titles, (replay) => [
      replay.id,
      replay.status,
      replay.endpoint_id,
      replay.since,
      replay.until,
      replay.total,
      replay.requested,
      replay.succeeded,
      replay.failed,
      replay.requested_by,
    ]);
  },
};

const show: Command = {
  name: 'replay show',
  says: 'show how far a replay is',
  takes: { words: '<id>', least: 1, most: 1 },
  options: [],
  run: async ({ words: [id = ''] }, context) => {
    const replay = await context.api().get<Replay>(replayPath(id));
    return { kind: 'data', json: replay, blocks: [replayBlock(replay)] };
  },
};

export const replayBlock = ({ sample: _, ...replay }: Replay): Block => fieldsOf(replay);

const steered = (verb: string, wanted: Replay['status'], says: string): Command => ({
  name: `replay ${verb}`,
  says,
  takes: { words: '<id>...', least: 1, most: Infinity },
  options: ['dry-run', 'yes'],
  run: (given, context) => {
    const api = context.api();
    const isOver = (status: string): boolean => status === 'completed' || status === 'cancelled';
    return changeEach(given, {
      read: async (id) => (await api.get<Replay>(replayPath(id))).status,
      wanted: (status) => (isOver(status) ? status : wanted),
      change: async (id) => (await api.post<Replay>(`${replayPath(id)}/${verb}`)).status,
    });
  },
});

export const replays = [
  list,
  show,
  steered('pause', 'paused', 'request nothing more until a replay is resumed'),
  steered('resume', 'running', 'go on with a paused replay'),
  steered('cancel', 'cancelled', 'end a replay; what has been requested is still sent'),
];
