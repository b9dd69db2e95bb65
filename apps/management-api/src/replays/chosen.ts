import {
  type CreateReplay,
  deliveryId,
  isId,
  type ReplayFilter,
  type ReplayNames,
  type StartReplayRequest,
} from '@posthaste/contracts';
import type { FieldError } from '@posthaste/runtime';
import { fieldProblem } from '../http/refusals.js';

/** What a replay is asked to be about, as audit-log is told. */
export type Chosen = Pick<
  StartReplayRequest,
  'kind' | 'endpoint' | 'to_endpoint' | 'since' | 'until' | 'filter' | 'names'
>;

export const NO_FILTER: ReplayFilter = { statuses: [], event_types: [], channels: [] };
export const NO_NAMES: ReplayNames = { deliveries: [], messages: [], endpoints: [] };
export const SETTLED = ['delivered', 'exhausted', 'cancelled'];
/** The end of year 9999: what was named one by one has no range. */
export const NO_END = 253_402_300_799_999;

/** Throws `validation_failed` for what does not go together, whatever it refers to. */
export function refuseMuddled(input: CreateReplay, isOfAccount: boolean): void {
  const errors: FieldError[] = [];
  if (input.endpoint_id === undefined && input.account_id === undefined && !isOfAccount) {
    errors.push({ pointer: '/endpoint_id', code: 'required', message: 'or `account_id` is required' });
  }
  if (input.since === undefined && namesOf(input) === undefined) {
    errors.push({ pointer: '/since', code: 'required', message: 'is required unless ids are given' });
  }
  if (input.delivery_ids && input.message_ids) {
    const message = 'must not be given together with `delivery_ids`';
    errors.push({ pointer: '/message_ids', code: 'excluded', message });
  }
  if (input.to_endpoint_id !== undefined && input.endpoint_id === undefined) {
    const message = 'needs `endpoint_id`: whose deliveries are meant';
    errors.push({ pointer: '/to_endpoint_id', code: 'needs_endpoint_id', message });
  }
  if (errors.length > 0) throw fieldProblem(errors);
}

/** @param endpoint whose deliveries; absent: those of `sendable` */
export function chosenBy(
  input: CreateReplay,
  endpoint: string | undefined,
  toEndpoint: string | undefined,
  sendable: string[],
): Chosen {
  const named = namesOf(input);
  const { since, until } = rangeOf(input, '/since', named === undefined);
  const filter: ReplayFilter = {
    statuses: input.status ?? (named ? SETTLED : []),
    event_types: input.event_types ?? [],
    channels: [],
    error_class: input.error_class,
    status_code: input.status_code,
    named: named?.length ?? 0,
  };
  const isAll = isDeepEmpty(filter);
  return {
    kind: toEndpoint !== undefined ? 'copy' : isAll && endpoint !== undefined ? 'recover' : 'resend',
    ...{ endpoint, to_endpoint: toEndpoint, since, until, filter },
    names: { ...namesIn(input, endpoint), endpoints: endpoint === undefined ? sendable : [] },
  };
}

/** Those that were asked for by id; undefined: it is about all in a range. */
function namesOf({ delivery_ids, message_ids }: CreateReplay): string[] | undefined {
  return delivery_ids ?? message_ids;
}

/** What is no id names nothing. Where the endpoint is known, messages name their deliveries. */
function namesIn(
  { delivery_ids, message_ids = [] }: CreateReplay,
  endpoint: string | undefined,
): Pick<ReplayNames, 'deliveries' | 'messages'> {
  if (delivery_ids) return { deliveries: delivery_ids, messages: [] };
  if (endpoint === undefined) return { deliveries: [], messages: message_ids };
  return { deliveries: deliveriesTo(endpoint, message_ids), messages: [] };
}

export function deliveriesTo(endpoint: string, messages: string[]): string[] {
  return messages.map((message) => (isId('message', message) ? deliveryId(message, endpoint) : message));
}

function isDeepEmpty({ statuses, event_types, error_class, status_code, named }: ReplayFilter): boolean {
  return (
    statuses.length === 0 &&
    event_types.length === 0 &&
    error_class === undefined &&
    status_code === undefined &&
    named === 0
  );
}

/** Throws for a range that holds nothing. @param pointer where its beginning was given */
export function rangeOf(
  input: { since?: string | undefined; until?: string | undefined },
  pointer: string,
  endsNow = true,
): { since: number; until: number } {
  const since = input.since === undefined ? 0 : Date.parse(input.since);
  const end = endsNow ? Date.now() : NO_END;
  const until = input.until === undefined ? end : Date.parse(input.until);
  if (since < until) return { since, until };
  const message = input.until === undefined ? 'must be in the past' : 'must be before `until`';
  throw fieldProblem([{ pointer, code: 'empty_range', message }]);
}
