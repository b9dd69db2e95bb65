import { type Attempt, type Delivery, DeliveryStatus, type ListedAttempt } from '@posthaste/contracts';
import type { Query } from '../api.js';
import type { Command, Context, Given } from '../command.js';
import { Failure } from '../failure.js';
import { fieldsOf } from '../output.js';
import { instant } from '../quantities.js';
import { accountPath, listAnswer, pageOf } from './accounts.js';
import { changeEach } from './change-each.js';

const pathOf = (id: string): string => `/v1/deliveries/${encodeURIComponent(id)}`;
/** What the API can tell of one message's deliveries. */
const notOfOneMessage = [
  'account',
  'endpoint',
  'event-type',
  'channel',
  'tag',
  'error-class',
  'status-code',
  'id-prefix',
  'since',
  'until',
] as const;

const list: Command = {
  name: 'deliveries list',
  says: "list an account's deliveries, or a message's, newest first",
  options: ['message', 'status', ...notOfOneMessage, 'limit', 'cursor'],
  run: async (given, context) => {
    const { message } = given.options;
    const unfit = notOfOneMessage.find((name) => given.options[name] !== undefined);
    if (message !== undefined && unfit !== undefined) {
      throw new Failure('usage', `--message and --${unfit} cannot be used together`);
    }
    const of = message === undefined ? await accountPath(given, context) : messagePath(message);
    const filters = { status: statusOf(given), ...failureOf(given), ...rangeOf(given, context) };
    const page = await context.api().list<Delivery>(`${of}/deliveries`, { ...filters, ...pageOf(given) });
    const titles = ['id', 'accepted', 'event type', 'endpoint', 'status', 'attempts', 'last', 'next attempt'];
    return listAnswer(page, titles, (delivery) => [
      delivery.id,
      delivery.accepted_at,
      delivery.event_type,
      delivery.endpoint_id,
      delivery.status,
      delivery.attempts,
      delivery.last_error_class === 'http_status' ? delivery.last_status_code : delivery.last_error_class,
      delivery.next_attempt_at,
    ]);
  },
};

const messagePath = (id: string): string => `/v1/messages/${encodeURIComponent(id)}`;

function statusOf({ options: { status } }: Given): string | undefined {
  if (status === undefined || DeliveryStatus.safeParse(status).success) return status;
  throw new Failure('usage', `--status ${status} is no status of a delivery`, {
    hint: `there are: ${DeliveryStatus.options.join(', ')}`,
  });
}

const failureOf = ({ options }: Given): Query => ({
  endpoint_id: options.endpoint,
  error_class: options['error-class'],
  status_code: options['status-code'],
});

export function rangeOf({ options }: Given, { nowMs }: Context): Query {
  const { since, until, channel, tag, 'event-type': event_type, 'id-prefix': id_prefix } = options;
  return {
    ...{ event_type, channel, tag, id_prefix },
    since: since === undefined ? undefined : instant('since', since, nowMs()),
    until: until === undefined ? undefined : instant('until', until, nowMs()),
  };
}

const show: Command = {
  name: 'deliveries show',
  says: 'show a delivery',
  takes: { words: '<id>', least: 1, most: 1 },
  options: [],
  run: async ({ words: [id = ''] }, context) => {
    const delivery = await context.api().get<Delivery>(pathOf(id));
    return { kind: 'data', json: delivery, blocks: [fieldsOf(delivery)] };
  },
};

const cancel: Command = {
  name: 'deliveries cancel',
  says: 'send nothing more for deliveries',
  takes: { words: '<id>...', least: 1, most: Infinity },
  options: ['dry-run', 'yes'],
  run: (given, context) => {
    const api = context.api();
    return changeEach(given, {
      read: async (id) => (await api.get<Delivery>(pathOf(id))).status,
      wanted: afterCancel,
      obstacle: (status) =>
        status === 'delivered' || status === 'cancelled' ? `it is ${status} already` : undefined,
      // The answer is the delivery as it was; the cancellation is in the log, and history shows it a moment later.
      change: async (id) => afterCancel((await api.post<Delivery>(`${pathOf(id)}/cancel`)).status),
    });
  },
};

/** An exhausted delivery stays so: it only gives way to those behind it. */
const afterCancel = (status: string): string => (status === 'exhausted' ? status : 'cancelled');

const resend: Command = {
  name: 'resend',
  says: 'make one more attempt of deliveries',
  takes: { words: '<delivery>...', least: 1, most: Infinity },
  options: ['dry-run', 'yes'],
  run: (given, context) => {
    const api = context.api();
    return changeEach(given, {
      read: async (id) => (await api.get<Delivery>(pathOf(id))).status,
      wanted: () => 'requested',
      obstacle: (status) => (isOwed(status) ? `it is ${status}: an attempt is owed already` : undefined),
      // The answer is the delivery as it was: the attempt follows a moment later.
      change: async (id) => {
        await api.post<Delivery>(`${pathOf(id)}/resend`);
        return 'requested';
      },
    });
  },
};

const isOwed = (status: string): boolean => ['pending', 'retrying', 'deferred'].includes(status);

const attempts: Command = {
  name: 'attempts',
  says: "list a delivery's attempts, newest first",
  takes: { words: '<delivery>', least: 1, most: 1 },
  options: ['limit', 'cursor'],
  run: async (given, context) => {
    const path = `${pathOf(given.words[0] ?? '')}/attempts`;
    const page = await context.api().list<Attempt>(path, pageOf(given));
    const titles = ['n', 'started', 'why', 'outcome', 'status', 'error', 'ms', 'address', 'next attempt'];
    return listAnswer(page, titles, (attempt) => [
      attempt.number,
      attempt.started_at,
      attempt.trigger,
      attempt.outcome,
      attempt.response?.status ?? null,
      attempt.error?.message,
      Math.round(attempt.duration_ms),
      attempt.address,
      attempt.next_attempt_at,
    ]);
  },
};

const attemptsList: Command = {
  name: 'attempts list',
  says: "list the attempts of an account's deliveries, newest first",
  options: [
    ...(['account', 'outcome', 'endpoint', 'event-type', 'channel', 'tag', 'error-class'] as const),
    ...(['status-code', 'id-prefix', 'since', 'until', 'limit', 'cursor'] as const),
  ],
  run: async (given, context) => {
    const path = `${await accountPath(given, context)}/attempts`;
    const filters = { outcome: given.options.outcome, ...failureOf(given), ...rangeOf(given, context) };
    const page = await context.api().list<ListedAttempt>(path, { ...filters, ...pageOf(given) });
    const titles = ['started', 'delivery', 'n', 'endpoint', 'outcome', 'status', 'error', 'ms'];
    return listAnswer(page, titles, (attempt) => [
      attempt.started_at,
      attempt.delivery_id,
      attempt.number,
      attempt.endpoint_id,
      attempt.outcome,
      attempt.response?.status ?? null,
      attempt.error?.class,
      Math.round(attempt.duration_ms),
    ]);
  },
};

// Before `attempts`, which would take its second word for an id.
export const deliveries = [list, show, cancel, attemptsList, attempts, resend];
