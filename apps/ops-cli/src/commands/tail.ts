import type { TailedAttempt } from '@posthaste/contracts';
import type { Command } from '../command.js';
import { follow, type StreamEvent } from '../event-stream.js';
import type { Cell } from '../output.js';
import { wholeNumber } from '../quantities.js';

const MOST = 1_000_000_000;
const columns: [title: string, width: number][] = [
  ['started', 24],
  ['outcome', 9],
  ['status', 6],
  ['n', 3],
  ['why', 8],
  ['event type', 20],
  ['endpoint', 30],
  ['ms', 6],
  ['delivery', 9],
  ['error', 0],
];

/** Attempts as they are made, until it is interrupted: one line each. */
export const tail: Command = {
  name: 'tail',
  says: 'follow attempts as they are made',
  options: ['account', 'endpoint', 'status', 'outcome', 'event-type', 'error-class', 'status-code', 'limit'],
  run: async ({ options }, context) => {
    const query = {
      account: options.account ?? context.target().account,
      endpoint_id: options.endpoint,
      event_type: options['event-type'],
      outcome: options.outcome,
      status: options.status,
      error_class: options['error-class'],
      status_code: options['status-code'],
    };
    const most = options.limit === undefined ? Infinity : wholeNumber('limit', options.limit, 1, MOST);
    const events = follow(context.api(), '/v1/tail', query, context.progress);
    return {
      kind: 'lines',
      titles: columns.map(([title]) => title),
      widths: columns.map(([, width]) => width),
      lines: linesOf(events, most),
    };
  },
};

async function* linesOf(
  events: AsyncIterable<StreamEvent>,
  most: number,
): AsyncGenerator<{ json: TailedAttempt; cells: Cell[] }> {
  let count = 0;
  for await (const { event, data } of events) {
    if (event !== 'message') continue;
    const attempt = JSON.parse(data) as TailedAttempt;
    yield { json: attempt, cells: cellsOf(attempt) };
    if (++count >= most) return;
  }
}

const cellsOf = (attempt: TailedAttempt): Cell[] => [
  attempt.started_at,
  attempt.outcome,
  attempt.response?.status ?? null,
  attempt.number,
  attempt.trigger,
  attempt.event_type,
  attempt.endpoint_id,
  Math.round(attempt.duration_ms),
  attempt.delivery_status,
  attempt.error?.message ?? '',
];
