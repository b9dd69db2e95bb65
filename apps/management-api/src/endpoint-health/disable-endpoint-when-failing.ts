import type { EndpointRow } from '../endpoints/endpoint.entity.js';

/**
 * An endpoint whose every attempt has failed for a week is disabled; operators are warned after a day and after three.
 * Time is the events' own, and the next failure after a boundary decides: nothing happens to an endpoint that is sent
 * nothing, and a log that is read again decides as it did.
 */
export type Stage = 0 | 24 | 72 | 168;

const HOUR_MS = 3_600_000;
export const WEEK_HOURS = 168;
const STAGES: readonly Stage[] = [WEEK_HOURS, 72, 24];

/** How far an endpoint that has failed for so long has come; one that may not be disabled stays at its last warning. */
export function stageAfter(failingMs: number, autoDisable: boolean): Stage {
  const reached = STAGES.find((hours) => failingMs >= hours * HOUR_MS) ?? 0;
  return reached === WEEK_HOURS && !autoDisable ? 72 : reached;
}

/** When it is disabled, if it goes on failing; ms since 1970. */
export function disablesAt(failingSince: number): number {
  return failingSince + WEEK_HOURS * HOUR_MS;
}

/** Why an endpoint is to be disabled, found in the log some time ago. */
export interface FailingAllWeek {
  reason: 'failing';
  failingSince: number;
  attempt: string;
}

/** Asked in the transaction that disables: somebody may have switched it on again, or changed its mind, meanwhile. */
export function isStillFailing(endpoint: EndpointRow, { failingSince }: FailingAllWeek): boolean {
  return endpoint.autoDisable && failingSince >= (endpoint.healthSince?.getTime() ?? 0);
}
