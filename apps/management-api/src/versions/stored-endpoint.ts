import type { Endpoint, EndpointVersion } from '@posthaste/contracts';
import { endpointView } from '../endpoints/endpoint-fields.js';
import { EndpointRow } from '../endpoints/endpoint.entity.js';
import { changedFields } from '../http/merge-patch.js';

/**
 * What a version row keeps of an endpoint (`endpointKind.state`), as JSON. Nothing that opens is in it: of secrets,
 * credentials and keys it tells which there were.
 */
export type StoredEndpoint = Omit<EndpointRow, NotKept | 'disabledAt'> & {
  deleted: boolean;
  disabledAt: string | null;
};
type NotKept = 'configVersion' | 'healthSince' | 'secrets' | 'createdAt' | 'updatedAt' | 'deletedAt';

/** The endpoint as it is shown, at a version that was made at `at`. */
export function storedView(state: StoredEndpoint, createdAt: Date, at: Date): Endpoint {
  const { disabledAt, ...stored } = state;
  const row = Object.assign(new EndpointRow(), stored, {
    disabledAt: disabledAt === null ? null : new Date(disabledAt),
    secrets: [],
    createdAt,
    updatedAt: at,
  });
  return endpointView(row);
}

type Change = EndpointVersion['changed'][number];

/**
 * What a change made different, in the words of the endpoint. `named` is what the audit entry says was changed: what
 * looks the same before and after is a secret, and only named.
 */
export function changesBetween(
  before: StoredEndpoint | null,
  after: StoredEndpoint,
  named: readonly string[],
): Change[] {
  const [old, now] = [before ? fieldsOf(before) : { deleted: false }, fieldsOf(after)];
  const changes: Change[] = changedFields(old, now).map((field) => ({
    field,
    before: old[field] ?? null,
    after: now[field] ?? null,
  }));
  const seen = new Set(changes.map(({ field }) => field));
  // A new endpoint names all its fields, those too that are empty.
  const hidden = named.filter((field) => !seen.has(field) && (before !== null || !(field in now)));
  return [...changes, ...hidden.map((field) => ({ field }))];
}

/** What follows from a change, or never changes. */
const NOT_CHOSEN = new Set(['id', 'account_id', 'version', 'created_at', 'updated_at', 'disabled_at']);

/** What somebody decides about an endpoint. */
function fieldsOf(state: StoredEndpoint): Record<string, unknown> {
  const epoch = new Date(0);
  const chosen = Object.entries(storedView(state, epoch, epoch)).filter(([name]) => !NOT_CHOSEN.has(name));
  return { ...Object.fromEntries(chosen), deleted: state.deleted };
}
