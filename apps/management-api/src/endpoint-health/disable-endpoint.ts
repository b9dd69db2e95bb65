import type { OperatorEvent } from '@posthaste/contracts';
import { findAccountOrNull } from '../accounts/accounts.js';
import type { Changes, Draft } from '../changes/changes.js';
import { endpointKind, type EndpointRow } from '../endpoints/endpoint.entity.js';
import { findEndpointOrNull } from '../endpoints/find-endpoint.js';
import { type FailingAllWeek, isStillFailing } from './disable-endpoint-when-failing.js';
import { isStillGone, type SaidToBeGone } from './disable-endpoint-when-gone.js';
import { instant } from './endpoint-health.js';
import { insertActions } from './sql/insert-actions.js';
import { CLAIM_ONE, MARK_DONE } from './sql/todo-actions.js';

interface Claimed {
  cause: string;
  tenant: string;
  account: string;
  endpoint: string;
  /** bigint: TypeORM's connections leave it as text. */
  at: string;
  detail: FailingAllWeek | SaidToBeGone;
}

/**
 * Disables an endpoint as a request would: a version, an audit entry, the outbox. That it was asked for is marked done,
 * and that operators are to be told is asked for, in the same transaction: it happens once, or not at all.
 */
export async function disableEndpoint(changes: Changes, cause: string, attempt: string): Promise<void> {
  await changes.make({ actor: 'system', from: '', requestId: attempt }, async (draft) => {
    const [claimed] = await draft.manager.query<Claimed[]>(CLAIM_ONE, [cause]);
    if (!claimed) return;
    const row = await lockedEndpoint(draft, claimed);
    if (row && row.enabled && isStillSo(row, claimed.detail)) await disable(draft, row, claimed);
    await draft.manager.query(MARK_DONE, [[cause]]);
  });
}

/** Null when it is deleted. The account's lock is what every change of its endpoints holds. */
async function lockedEndpoint(
  { manager }: Draft,
  { tenant, account, endpoint }: Claimed,
): Promise<EndpointRow | null> {
  const reach = { tenant, account: null };
  if (!(await findAccountOrNull(manager, reach, account, true))) return null;
  return findEndpointOrNull(manager, reach, { endpoint });
}

function isStillSo(row: EndpointRow, detail: Claimed['detail']): boolean {
  return detail.reason === 'failing' ? isStillFailing(row, detail) : isStillGone(row, detail);
}

async function disable(draft: Draft, row: EndpointRow, claimed: Claimed): Promise<void> {
  const { cause, tenant, account, endpoint, detail } = claimed;
  row.enabled = false;
  row.disabledReason = detail.reason;
  await draft.write(endpointKind, row, 'endpoint.disabled', ['enabled']);
  const at = Number(claimed.at);
  const event: OperatorEvent = {
    type: 'endpoint.disabled',
    timestamp: instant(at),
    data: {
      account_id: account,
      endpoint_id: endpoint,
      reason: detail.reason,
      failing_since: detail.reason === 'failing' ? instant(detail.failingSince) : null,
      attempt_id: detail.attempt,
    },
  };
  await insertActions(
    (text, values) => draft.manager.query(text, values),
    [{ cause: `endpoint.disabled/${cause}`, kind: 'tell', tenant, account, endpoint, at, detail: event }],
  );
}
