import type { DataSource } from 'typeorm';
import type { Draft } from '../changes/changes.js';
import { SECONDS_PER_CREDIT } from './credits.js';
import { EXHAUSTED, settleMonitoring, tellConnections } from './monitoring.js';

/**
 * Ends all monitoring of tenants whose credits are used up; their endpoints stay as they are. Any replica may, as often
 * as it likes. Answers how many accounts that were.
 */
export async function endWithoutCredits(database: DataSource, now: Date): Promise<number> {
  return database.transaction(async (manager) => {
    const [ended] = await manager.query<[unknown[], number]>(
      `update config.monitoring_period set ended_at = greatest(started_at, $1)
        where ended_at is null and tenant in (${EXHAUSTED}) returning account`,
      [now, SECONDS_PER_CREDIT],
    );
    if (ended.length > 0) await tellConnections(manager);
    return ended.length;
  });
}

/** Monitors again what a lack of credits had ended, now that there may be more. */
export async function resumeMonitoring(draft: Draft, tenant: string): Promise<void> {
  // Locked, in the order everybody locks them: a change of an endpoint that is under way settles after us, or before.
  const accounts = await draft.manager.query<{ id: string }[]>(
    `select id from config.account
      where tenant = $1 and id in (
        select account from config.to_be_monitored where tenant = $1
        except select account from config.monitoring_period where tenant = $1 and ended_at is null)
      order by id for no key update`,
    [tenant],
  );
  for (const { id: account } of accounts) await settleMonitoring(draft, { account, tenant }, false);
}
