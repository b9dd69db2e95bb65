import { type MessageMeta, type Route, ROUTES_PER_RECORD, topics } from '@posthaste/contracts';
import { matches } from '@posthaste/delivery';
import { EventLogError, type LogProducer, type OutgoingRecord } from '@posthaste/event-log';
import { type FieldError, Problem } from '@posthaste/runtime';
import { fieldProblem } from '../http/refusals.js';
import type { Admission } from './account-gate.js';
import type { PublishRequest } from './publish-request.js';
import type { Candidate } from './sql/load-account-routing.js';

/** A message that is to be accepted under an id. */
export interface Named {
  id: string;
  request: PublishRequest;
}

/**
 * Routes messages and appends them to the log, all in one append. Answers how many deliveries each has once the log
 * has acknowledged every record; a Problem when it did not, and then nobody knows whether it has them.
 */
export async function acceptMessages(
  producer: LogProducer,
  admission: Admission,
  messages: readonly Named[],
  atMs: number,
  trace: string | undefined,
): Promise<number[] | Problem> {
  const records: OutgoingRecord[] = [];
  const deliveries = messages.map(({ id, request }) => {
    const routes = matchedBy(admission, request).map(routeTo);
    for (let from = 0; from === 0 || from < routes.length; from += ROUTES_PER_RECORD) {
      const some = routes.slice(from, from + ROUTES_PER_RECORD);
      const meta = metaOf(admission, id, request, atMs, some);
      const encoded = topics.messages.encode({ meta, payload: request.payload });
      records.push({ topic: topics.messages, ...encoded, trace });
    }
    return routes.length;
  });
  try {
    await producer.append(records);
    return deliveries;
  } catch (error) {
    if (error instanceof EventLogError) return notAcknowledged();
    throw error;
  }
}

/** What the tenant's catalogue says against the messages; undefined when all may be published. */
export function refuseUnknownEventTypes(
  { eventTypes }: Admission,
  requests: readonly PublishRequest[],
  pointerOf: (index: number) => string,
): Problem | undefined {
  if (eventTypes === null) return undefined;
  const errors: FieldError[] = requests.flatMap(({ eventType }, index) =>
    eventTypes.has(eventType)
      ? []
      : [
          {
            pointer: pointerOf(index),
            code: 'unknown_event_type',
            message: 'is not in the catalogue of event types',
          },
        ],
  );
  return errors.length > 0 ? fieldProblem(errors) : undefined;
}

function matchedBy({ candidates }: Admission, { eventType, channels }: PublishRequest): Candidate[] {
  const message = { type: eventType, channels };
  return candidates.filter((candidate) => matches(message, candidate).matched);
}

function routeTo({ id, version, mode }: Candidate): Route {
  return mode === 'feed' ? { endpoint: id, version, feed: true } : { endpoint: id, version };
}

function metaOf(
  { tenant, account, subject, config, stale }: Admission,
  id: string,
  { eventType, channels, tags, contentType, orderingKey }: PublishRequest,
  atMs: number,
  routes: Route[],
): MessageMeta {
  return {
    v: 1,
    id,
    tenant,
    account,
    type: eventType,
    ...(channels.length > 0 ? { channels } : {}),
    ...(tags.length > 0 ? { tags } : {}),
    ...(orderingKey === undefined ? {} : { orderingKey }),
    // Of every message: an endpoint that is made later may be sent it, in a profile that says this.
    subject,
    contentType,
    at: atMs,
    config,
    ...(stale ? { staleConfig: true } : {}),
    routes,
  };
}

function notAcknowledged(): Problem {
  return new Problem(
    'unavailable',
    'The log did not acknowledge in time. Repeat the request; with the same Idempotency-Key it stays one message.',
    [],
    1,
  );
}
