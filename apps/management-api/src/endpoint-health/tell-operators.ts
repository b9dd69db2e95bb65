import { causedMessageId, type OperatorEvent } from '@posthaste/contracts';
import type { LogProducer } from '@posthaste/event-log';
import { inTransaction, Problem } from '@posthaste/runtime';
import type pg from 'pg';
import { acceptMessages } from '../publish/accept-messages.js';
import type { Admission } from '../publish/account-gate.js';
import { type AccountRouting, loadAccountRouting } from '../publish/sql/load-account-routing.js';
import { findOperators } from './sql/find-operators.js';
import { CLAIMED_COLUMNS, MARK_DONE } from './sql/todo-actions.js';

const BATCH = 100;
const QUERY_TIMEOUT_MS = 5_000;

const CLAIM = `select ${CLAIMED_COLUMNS} from health.action
  where kind = 'tell' and done_at is null order by at, cause limit ${BATCH} for update skip locked`;

interface Telling {
  cause: string;
  tenant: string;
  account: string;
  at: number;
  detail: OperatorEvent;
}

/**
 * Publishes a batch of operator events as messages like any other: routed, logged, signed and kept. Marked as told only
 * after the log has acknowledged them, so whoever dies in between publishes them again, under the same ids. The same
 * message twice in the log is one message in history; a dispatcher sends it once if both come within ten minutes.
 *
 * @returns how many events were worked off
 */
export async function tellOperators(pool: pg.Pool, producer: LogProducer): Promise<number> {
  return inTransaction(pool, async (client) => {
    const { rows: tellings } = await client.query<Telling>(CLAIM);
    if (tellings.length === 0) return 0;
    const audience = await findOperators(client, [...new Set(tellings.map(({ account }) => account))]);
    const operators = [...new Set(audience.map(({ operator }) => operator))];
    // Read after the events' causes were committed: an endpoint that is there now is told.
    const routings = await loadAccountRouting(pool, operators, QUERY_TIMEOUT_MS);
    const routingOf = new Map(operators.map((operator, i) => [operator, routings[i]]));
    const appends = tellings.flatMap((telling) =>
      audience
        .filter(({ subject }) => subject === telling.account)
        .flatMap(({ operator }) => routingOf.get(operator) ?? [])
        .map((routing) => publish(producer, telling, admissionOf(telling.tenant, routing))),
    );
    const refusal = (await Promise.all(appends)).find((answer) => answer instanceof Problem);
    if (refusal) throw refusal;
    await client.query(MARK_DONE, [tellings.map(({ cause }) => cause)]);
    return tellings.length;
  });
}

async function publish(
  producer: LogProducer,
  { cause, at, detail }: Telling,
  admission: Admission,
): Promise<number[] | Problem> {
  const request = {
    eventType: detail.type,
    payload: Buffer.from(JSON.stringify(detail)),
    contentType: 'application/json',
    channels: [],
    tags: [],
    eventId: undefined,
    orderingKey: undefined,
  };
  const id = causedMessageId(at, `${cause}/${admission.account}`);
  return acceptMessages(producer, admission, [{ id, request }], at, undefined);
}

/** Of nobody's key: the tenant's catalogue has no say in our own event types. */
function admissionOf(tenant: string, { account, config, uid, name, candidates }: AccountRouting): Admission {
  return { tenant, account, subject: { uid, name }, config, candidates, eventTypes: null, stale: false };
}
