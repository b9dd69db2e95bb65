import {
  type Attempt,
  type AttemptsQuery,
  type DeliveriesQuery,
  type Delivery,
  type HistoryDelivery,
  type HistoryMessage,
  type HistoryPage,
  isId,
  type ListedAttempt,
  lowestId,
  type Message,
  type MessagesQuery,
  type PageQuery,
} from '@posthaste/contracts';
import { isSettledStatus } from '@posthaste/delivery';
import type { Author, Reach } from '../access/principal.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Changes } from '../changes/changes.js';
import { type Cursors, type ListOf, type Page, pageOf, pageRequest, type SortKey } from '../http/cursors.js';
import type { Endpoints } from '../endpoints/endpoints.js';
import { absent, fieldProblem } from '../http/refusals.js';
import { refuseShredded, refuseUnsendable } from '../replays/refuse-unsendable.js';
import { resendDelivery } from '../replays/resend-delivery.js';
import { cancelDelivery } from './cancel-delivery.js';
import type { HistoryReader } from './history-reader.js';
import { payloadMatch } from './payload-path.js';
import { shredPayload } from './shred-payload.js';
import { attemptView, deliveryView, listedAttemptView, messageView } from './views.js';

/** What history may not have yet: it follows the log by a fifth of a second, and clocks of replicas differ. */
const RECENT_MS = 60_000;

/**
 * What a key may know of the past. Tenant and account come from the key: audit-log is asked within the tenant only, and
 * what belongs to another account than the key's is answered as if it were not there.
 */
export class History {
  constructor(
    private readonly reader: HistoryReader,
    private readonly accounts: Accounts,
    private readonly endpoints: Endpoints,
    private readonly cursors: Cursors,
    private readonly changes: Changes,
  ) {}

  async listMessages(reach: Reach, accountRef: string, query: MessagesQuery): Promise<Page<Message>> {
    const { id: account } = await this.accounts.get(reach, accountRef);
    const { limit, cursor, ...filter } = query;
    const { tenant } = reach;
    const list = { tenant, route: `messages of ${account}`, filter };
    const page = pageRequest(this.cursors, list, { limit, cursor });
    const { id_prefix } = query;
    const payload = payloadMatch(query.payload);
    const rows = await this.reader.read((client) =>
      client.listMessages({ tenant, account, page, id_prefix, payload, ...rangeOf(query) }),
    );
    return this.answer(list, rows, messageView, acceptedKey);
  }

  async getMessage(reach: Reach, id: string): Promise<Message> {
    return messageView(await this.message(reach, id));
  }

  /** The payload's exact bytes. */
  async getPayload(reach: Reach, id: string): Promise<{ payload: Buffer; contentType: string }> {
    const { tenant } = reach;
    const message = await this.message(reach, id);
    const { payload } = await this.reader.read((client) => client.getPayload({ tenant, id }));
    if (payload === undefined) throw absent('payload any more', ':id');
    return { payload, contentType: message.content_type };
  }

  /** Asked again, it is as if it were the first time. */
  async shredPayload(author: Author, reach: Reach, id: string): Promise<void> {
    await shredPayload(this.changes, this.reader, author, await this.message(reach, id));
  }

  async listDeliveries(reach: Reach, accountRef: string, query: DeliveriesQuery): Promise<Page<Delivery>> {
    const { id: account } = await this.accounts.get(reach, accountRef);
    const endpoint = await this.endpointOf(reach, account, query.endpoint_id);
    return this.deliveriesOf(reach, { account, endpoint }, `deliveries of ${account}`, query);
  }

  async listMessageDeliveries(
    reach: Reach,
    message: string,
    query: PageQuery & Pick<DeliveriesQuery, 'status'>,
  ): Promise<Page<Delivery>> {
    const { account } = await this.message(reach, message);
    return this.deliveriesOf(reach, { account, message }, `deliveries of ${message}`, query);
  }

  async getDelivery(reach: Reach, id: string): Promise<Delivery> {
    return deliveryView(await this.delivery(reach, id));
  }

  /** Answers the delivery as it was: history follows a moment later. */
  async cancel(author: Author, reach: Reach, id: string): Promise<Delivery> {
    const row = await this.delivery(reach, id);
    await cancelDelivery(this.changes, author, row);
    return deliveryView(row);
  }

  /** Answers the delivery as it is: the attempt follows a moment later. */
  async resend(author: Author, reach: Reach, id: string): Promise<Delivery> {
    const row = await this.delivery(reach, id, ({ status }) => isSettledStatus(status));
    refuseUnsendable(await this.endpoints.find(reach, { endpoint: row.endpoint }), ':id');
    refuseShredded(await this.message(reach, row.message));
    await resendDelivery(this.changes, author, row);
    return deliveryView(row);
  }

  async listAttempts(reach: Reach, id: string, { limit, cursor }: PageQuery): Promise<Page<Attempt>> {
    const { tenant } = reach;
    const list = { tenant, route: `attempts of ${id}` };
    const page = pageRequest(this.cursors, list, { limit, cursor });
    await this.delivery(reach, id);
    const rows = await this.reader.read((client) => client.listAttempts({ tenant, delivery: id, page }));
    return this.answer(list, rows, attemptView, startedKey);
  }

  /** Attempts of all the account's deliveries. */
  async listAccountAttempts(
    reach: Reach,
    accountRef: string,
    query: AttemptsQuery,
  ): Promise<Page<ListedAttempt>> {
    const { id: account } = await this.accounts.get(reach, accountRef);
    const endpoint = await this.endpointOf(reach, account, query.endpoint_id);
    const { tenant } = reach;
    const { limit, cursor, ...filter } = query;
    const { outcome, error_class, status_code, id_prefix } = filter;
    const list = { tenant, route: `attempts of ${account}`, filter };
    const page = pageRequest(this.cursors, list, { limit, cursor });
    const which = { tenant, account, endpoint, outcome, error_class, status_code, id_prefix };
    const rows = await this.reader.read((client) =>
      client.listAccountAttempts({ ...which, page, ...rangeOf(query) }),
    );
    return this.answer(list, rows, listedAttemptView, startedKey);
  }

  private async deliveriesOf(
    { tenant }: Reach,
    which: { account: string; endpoint?: string | undefined; message?: string },
    route: string,
    query: DeliveriesQuery,
  ): Promise<Page<Delivery>> {
    const { limit, cursor, ...filter } = query;
    const { status, error_class, status_code, id_prefix } = filter;
    const list = { tenant, route, filter };
    const page = pageRequest(this.cursors, list, { limit, cursor });
    const rows = await this.reader.read((client) =>
      client.listDeliveries({
        tenant,
        ...which,
        page,
        status,
        error_class,
        status_code,
        id_prefix,
        ...rangeOf(query),
      }),
    );
    return this.answer(list, rows, deliveryView, acceptedKey);
  }

  /** The id behind a filter `endpoint_id`. */
  async endpointOf(reach: Reach, account: string, ref: string | undefined): Promise<string | undefined> {
    if (ref === undefined) return undefined;
    const id = await this.endpoints.idOf(reach, { account, endpoint: ref });
    if (id !== null) return id;
    const message = 'names no endpoint of the account';
    throw fieldProblem([{ pointer: '?endpoint_id', code: 'unknown_endpoint', message }], 'invalid_request');
  }

  /** The message within reach, as audit-log has it. */
  async message({ tenant, account }: Reach, id: string): Promise<HistoryMessage> {
    return this.lookUp('message', account, id, async (as_of_now) => {
      const { message } = await this.reader.read((client) => client.getMessage({ tenant, id, as_of_now }));
      return message;
    });
  }

  private async delivery(
    { tenant, account }: Reach,
    id: string,
    isExpected?: (row: HistoryDelivery) => boolean,
  ): Promise<HistoryDelivery> {
    const look = async (as_of_now?: boolean) => {
      const { delivery } = await this.reader.read((client) => client.getDelivery({ tenant, id, as_of_now }));
      return delivery;
    };
    return this.lookUp('delivery', account, id, look, isExpected);
  }

  /**
   * What history has not yet, or not yet as it would be accepted, is looked at once more as of now: who read of it in
   * the tail, or was answered a moment ago, is not told that it is not there.
   */
  private async lookUp<T extends { account: string }>(
    kind: 'message' | 'delivery',
    account: string | null,
    id: string,
    look: (asOfNow?: boolean) => Promise<T | undefined>,
    isExpected: (row: T) => boolean = () => true,
  ): Promise<T> {
    if (!isId(kind, id)) throw absent(kind, ':id');
    const known = await look();
    const isNews = known ? !isExpected(known) : id > lowestId(kind, Date.now() - RECENT_MS);
    const row = isNews ? await look(true) : known;
    if (row && (account === null || account === row.account)) return row;
    throw absent(kind, ':id');
  }

  private answer<R, T>(
    list: ListOf,
    { data, has_more = false, reached_at, reached_id = '' }: HistoryPage<R>,
    view: (row: R) => T,
    sortKey: (row: R) => SortKey,
  ): Page<T> {
    const reached = reached_at === undefined ? undefined : { atMs: reached_at, id: reached_id };
    return pageOf(this.cursors, list, { rows: data, hasMore: has_more, reached }, sortKey, view);
  }
}

function acceptedKey({ accepted_at, id }: { accepted_at: number; id: string }): SortKey {
  return { atMs: accepted_at, id };
}

function startedKey({ started_at, id }: { started_at: number; id: string }): SortKey {
  return { atMs: started_at, id };
}

type Range = Pick<MessagesQuery, 'event_type' | 'channel' | 'tag' | 'since' | 'until'>;

/** What every list is narrowed by, as audit-log takes it. */
function rangeOf({ event_type, channel, tag, since, until }: Range) {
  const ms = (time: string | undefined) => (time === undefined ? undefined : Date.parse(time));
  return { event_type, channel, tag, since: ms(since), until: ms(until) };
}
