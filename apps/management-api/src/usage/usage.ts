import type { AccountUsage, UsageQuery } from '@posthaste/contracts';
import type { DataSource } from 'typeorm';
import { findAccount } from '../accounts/accounts.js';
import type { Reach } from '../access/principal.js';
import { fieldProblem } from '../http/refusals.js';
import { monitoredSeconds, type Period, toCredits, type Window } from './credits.js';
import { type Queries, stateOf } from './monitoring.js';

/** An account that is switched on and off all day has many; nobody reads further back one by one. */
const PERIODS_SHOWN = 100;

/** What accounts were monitored for, as it is shown. */
export class Usage {
  constructor(private readonly database: DataSource) {}

  async of(reach: Reach, ref: string, { since, until }: UsageQuery): Promise<AccountUsage> {
    const { id: account } = await findAccount(this.database.manager, reach, ref);
    const window = { since: since === undefined ? null : new Date(since), until: upTo(until, new Date()) };
    if (window.since !== null && window.since > window.until) {
      const message = 'must not be after the end of the time asked for';
      throw fieldProblem([{ pointer: '?since', code: 'out_of_range', message }], 'invalid_request');
    }
    const [periods, monitoring] = await Promise.all([
      periodsOf(this.database, account, window),
      stateOf(this.database, account),
    ]);
    const seconds = monitoredSeconds(periods, window);
    return {
      account_id: account,
      since: window.since?.toISOString() ?? null,
      until: window.until.toISOString(),
      credits: toCredits(seconds),
      monitored_seconds: seconds,
      monitored_since: monitoring.since?.toISOString() ?? null,
      periods: periods.slice(0, PERIODS_SHOWN).map(({ startedAt, endedAt }) => ({
        started_at: startedAt.toISOString(),
        ended_at: endedAt?.toISOString() ?? null,
      })),
    };
  }
}

/** What has not happened yet is not charged. */
function upTo(until: string | undefined, now: Date): Date {
  const asked = until === undefined ? now : new Date(until);
  return asked < now ? asked : now;
}

/** The periods that touch the window, the newest first. */
async function periodsOf(queries: Queries, account: string, { since, until }: Window): Promise<Period[]> {
  const rows = await queries.query<{ started_at: Date; ended_at: Date | null }[]>(
    `select started_at, ended_at from config.monitoring_period
      where account = $1 and started_at < $3 and (ended_at is null or $2::timestamptz is null or ended_at > $2)
      order by started_at desc, id desc`,
    [account, since, until],
  );
  return rows.map(({ started_at: startedAt, ended_at: endedAt }) => ({ startedAt, endedAt }));
}
