import { QueryFailedError } from 'typeorm';

/**
 * SQLSTATE classes of a server that cannot serve now: 08 connection lost, 53 out of resources, 57 stopped, starting or
 * out of time, 40 given up for another transaction's sake, 55P03 a lock not to be had.
 */
const SQL_STATES = /^(08|53|57|40|55P03)/;
const SOCKET_ERRORS = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)/;
/** What pg and TypeORM say in words only. */
const MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|not queryable|Client was closed|pool after calling end|not established|not Connected/i;

/** True when a query failed because PostgreSQL could not be asked, not because of what it was asked. */
export function isDatabaseAway(error: unknown): boolean {
  const cause = error instanceof QueryFailedError ? (error.driverError as unknown) : error;
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === 'string' && (SQL_STATES.test(code) || SOCKET_ERRORS.test(code))) return true;
  return typeof message === 'string' && MESSAGES.test(message);
}
