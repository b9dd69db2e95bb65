import {
  AttemptErrorClass,
  CancelReason,
  deliveryId,
  DeliveryDeferred,
  type DeliveryEvent,
  DeliveryStatus,
} from '@posthaste/contracts';
import { type DeliveryState, fedDelivery, type LastAttempt, pendingDelivery } from '@posthaste/delivery';
import type { MessageRow } from './sql/insert-messages.js';

/** The columns that hold a delivery's state. */
export interface StateColumns {
  status: string;
  attempts: number;
  nextAttemptAt: number | null;
  settledAt: number | null;
  lastStatusCode: number | null;
  lastErrorClass: string | null;
  reason: string | null;
}

/** A delivery as its row holds it: what names it, and its state. */
export interface DeliveryRow extends StateColumns {
  id: string;
  message: string;
  tenant: string;
  account: string;
  endpoint: string;
  eventType: string;
  acceptedAt: number;
  /** That of the record which routed it; null as long as only its events are known. */
  position: string | null;
  /** Known to have been neither pending nor delivered at some time: what lists of what did not arrive look at. */
  isTroubled: boolean;
}

/** One delivery for each route of a message: pending, or over when the route leads to a feed. */
export function routedRows({ meta, position }: MessageRow): DeliveryRow[] {
  return meta.routes.map((route) => ({
    id: deliveryId(meta.id, route.endpoint),
    message: meta.id,
    tenant: meta.tenant,
    account: meta.account,
    endpoint: route.endpoint,
    eventType: meta.type,
    acceptedAt: meta.at,
    position,
    isTroubled: false,
    ...toColumns(route.feed ? fedDelivery(meta.at) : pendingDelivery),
  }));
}

/** @param before the delivery's row, as far as the batch has made one */
export function toRow(
  event: DeliveryEvent,
  state: DeliveryState,
  before: DeliveryRow | undefined,
): DeliveryRow {
  return {
    id: event.delivery,
    message: event.message,
    tenant: event.tenant,
    account: event.account,
    endpoint: event.endpoint,
    eventType: event.eventType,
    acceptedAt: event.acceptedAt,
    position: before?.position ?? null,
    isTroubled: before?.isTroubled === true || (state.status !== 'pending' && state.status !== 'delivered'),
    ...toColumns(state),
  };
}

function toColumns(state: DeliveryState): StateColumns {
  return {
    status: state.status,
    attempts: state.attempts,
    nextAttemptAt: 'nextAttemptAt' in state ? state.nextAttemptAt : null,
    settledAt: 'settledAt' in state ? state.settledAt : null,
    lastStatusCode: state.last?.statusCode ?? null,
    lastErrorClass: state.last?.errorClass ?? null,
    reason: 'reason' in state ? state.reason : null,
  };
}

/** Reads a state back. What we wrote is checked: a row changed by hand must not be folded upon. */
export function toState(columns: StateColumns): DeliveryState {
  const status = DeliveryStatus.parse(columns.status);
  const { attempts } = columns;
  const last: LastAttempt = {
    statusCode: columns.lastStatusCode,
    errorClass: columns.lastErrorClass === null ? null : AttemptErrorClass.parse(columns.lastErrorClass),
  };
  // A counted attempt always has a status or an error.
  const lastIfAny = last.statusCode === null && last.errorClass === null ? null : last;
  switch (status) {
    case 'pending':
      return pendingDelivery;
    case 'retrying':
      return { status, attempts, nextAttemptAt: columns.nextAttemptAt ?? 0, last };
    case 'deferred':
      return {
        status,
        attempts,
        nextAttemptAt: columns.nextAttemptAt ?? 0,
        reason: DeliveryDeferred.shape.reason.parse(columns.reason),
        last: lastIfAny,
      };
    case 'delivered':
      return { status, attempts, settledAt: columns.settledAt ?? 0, last: lastIfAny };
    case 'exhausted':
      return { status, attempts, settledAt: columns.settledAt ?? 0, last };
    case 'cancelled':
      return {
        status,
        attempts,
        settledAt: columns.settledAt ?? 0,
        reason: CancelReason.parse(columns.reason),
        last: lastIfAny,
      };
  }
}
