import type { Message } from '@posthaste/contracts';
import type { Command } from '../command.js';
import { fieldsOf } from '../output.js';
import { accountPath, listAnswer, pageOf } from './accounts.js';
import { rangeOf } from './deliveries.js';

const pathOf = (id: string): string => `/v1/messages/${encodeURIComponent(id)}`;

export const messages: Command[] = [
  {
    name: 'messages list',
    says: "list an account's messages, newest first",
    options: [
      ...(['account', 'event-type', 'channel', 'tag', 'payload', 'id-prefix'] as const),
      ...(['since', 'until', 'limit', 'cursor'] as const),
    ],
    run: async (given, context) => {
      const path = `${await accountPath(given, context)}/messages`;
      const { payload } = given.options;
      const query = { payload, ...rangeOf(given, context), ...pageOf(given) };
      const page = await context.api().list<Message>(path, query);
      const titles = ['id', 'accepted', 'event type', 'bytes', 'deliveries'];
      return listAnswer(page, titles, ({ id, accepted_at, event_type, payload_bytes, deliveries }) => [
        id,
        accepted_at,
        event_type,
        payload_bytes,
        deliveries,
      ]);
    },
  },
  {
    name: 'messages show',
    says: 'show a message',
    takes: { words: '<id>', least: 1, most: 1 },
    options: [],
    run: async ({ words: [id = ''] }, context) => {
      const message = await context.api().get<Message>(pathOf(id));
      return { kind: 'data', json: message, blocks: [fieldsOf(message)] };
    },
  },
  {
    name: 'messages payload',
    says: "print the exact bytes of a message's payload",
    takes: { words: '<id>', least: 1, most: 1 },
    options: [],
    run: async ({ words: [id = ''] }, context) => ({
      kind: 'bytes',
      bytes: await context.api().bytes(`${pathOf(id)}/payload`),
    }),
  },
];
