import type { DeliveryAttempted } from '@posthaste/contracts';
import { at, endpoints, type Fact, fates, labels, types } from './random-history.js';

/** What each filter of a list is to let through, with values to try. A method, so that any list's can be held as one. */
export type Filters<F> = Record<
  string,
  { values: readonly unknown[]; holds(fact: F, value: never): boolean }
>;

const ofMessage: Filters<Fact> = {
  event_type: { values: [...types, 'none'], holds: ({ message }, value) => message.meta.type === value },
  channel: {
    values: [...labels, 'bl'],
    holds: ({ message }, value) => message.meta.channels?.includes(value) ?? false,
  },
  tag: {
    values: [...labels, 'tags'],
    holds: ({ message }, value) => message.meta.tags?.includes(value) ?? false,
  },
};
const byAcceptance: Filters<Fact> = {
  since: { values: [at, at + 1_402, at + 1e6], holds: ({ message }, value) => message.meta.at >= value },
  until: { values: [at, at + 4_901, at + 1e6], holds: ({ message }, value) => message.meta.at < value },
};
const ofDelivery: Filters<Fact> = {
  endpoint: { values: endpoints, holds: ({ endpoint }, value) => endpoint === value },
};
const last = ({ attempts }: Fact): DeliveryAttempted | undefined => attempts.at(-1);
const order = (fact: Fact): { id?: unknown; lines?: { sku: string }[] } | undefined =>
  (fact.payload as { order?: { id?: unknown } }).order;
export const match = (path: string[], value: unknown) => ({ path, value_json: JSON.stringify(value) });

export const messageFilters: Filters<Fact> = {
  ...ofMessage,
  ...byAcceptance,
  id_prefix: { values: [], holds: ({ message }, value: string) => message.meta.id.startsWith(value) },
};
/** What the payloads above have at these places. */
export const payloads = [
  { payload: match(['order', 'id'], 3), holds: (fact: Fact) => order(fact)?.id === 3 },
  { payload: { path: ['order', 'id'], value_json: '3.0' }, holds: (fact: Fact) => order(fact)?.id === 3 },
  { payload: match(['order', 'id'], '3'), holds: (fact: Fact) => order(fact)?.id === '3' },
  {
    payload: match(['order', 'lines', '1', 'sku'], 'B'),
    holds: (fact: Fact) => order(fact)?.lines?.[1]?.sku === 'B',
  },
  { payload: match(['odd name'], true), holds: ({ payload }: Fact) => 'odd name' in Object(payload) },
  { payload: match(['nothing'], null), holds: ({ payload }: Fact) => 'nothing' in Object(payload) },
  { payload: match(['0', 'order'], 1.5), holds: ({ payload }: Fact) => Array.isArray(payload) },
  { payload: match([], 'text'), holds: ({ payload }: Fact) => payload === 'text' },
  { payload: match(['no', 'such'], 1), holds: () => false },
];
export const deliveryFilters: Filters<Fact> = {
  ...ofMessage,
  ...ofDelivery,
  ...byAcceptance,
  status: { values: fates, holds: ({ status }, value) => status === value },
  error_class: {
    values: ['timeout', 'http_status', 'dns'],
    holds: (fact, value) => last(fact)?.error?.class === value,
  },
  status_code: { values: [200, 503, 404], holds: (fact, value) => last(fact)?.response?.status === value },
  id_prefix: { values: [], holds: ({ delivery }, value: string) => delivery.startsWith(value) },
};
export type Tried = Fact & { tried: DeliveryAttempted };
export const attemptFilters: Filters<Tried> = {
  ...ofMessage,
  ...ofDelivery,
  since: { values: [at, at + 1_402, at + 1e6], holds: ({ tried }, value) => tried.startedAt >= value },
  until: { values: [at, at + 4_901, at + 1e6], holds: ({ tried }, value) => tried.startedAt < value },
  outcome: { values: ['succeeded', 'failed'], holds: ({ tried }, value) => tried.outcome === value },
  error_class: {
    values: ['timeout', 'http_status', 'dns'],
    holds: ({ tried }, value) => tried.error?.class === value,
  },
  status_code: { values: [200, 503, 404], holds: ({ tried }, value) => tried.response?.status === value },
  id_prefix: { values: [], holds: ({ tried }, value: string) => tried.id.startsWith(value) },
};
