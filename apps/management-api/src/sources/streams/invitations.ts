import type { GuardedClient } from '@posthaste/egress';
import type { PublishRequest } from '../../publish/publish-request.js';

// Invitations that brought nobody new are not published. Who is known is what the source's `sync_url` listed at first,
// and whoever an invitation has brought since.

export const ACCEPTED_INVITATION = 'accepted_invitation';
const LIST_BYTES = 8 * 1024 * 1024;
const LIST_TIMEOUT_MS = 15_000;
/** They are kept, and looked up by an index. */
const USABLE_NAME = /^[^\0]{1,500}$/;

/** The names the connections of an invitation go by, for each of them; none when it is no invitation, or brings none. */
export function invited({ eventType, payload }: PublishRequest): string[][] {
  if (eventType !== ACCEPTED_INVITATION) return [];
  const body = JSON.parse(payload.toString()) as Partial<Record<string, unknown>> | null;
  // As the product has it, or in the product's whole wrapper.
  const event = (body?.['event'] ?? body) as Partial<Record<string, unknown>> | null;
  const connections = event?.['new_connections'];
  return Array.isArray(connections) ? connections.map(namesOf) : [];
}

/** True when every connection goes by a name that is known already. */
export function bringsNobodyNew(connections: readonly string[][], known: ReadonlySet<string>): boolean {
  return connections.length > 0 && connections.every((names) => names.some((name) => known.has(name)));
}

/** The connections a source lists, or why they could not be had. */
export async function listConnections(
  client: GuardedClient,
  url: string,
  headers: Record<string, string>,
): Promise<{ ok: true; names: string[] } | { ok: false; message: string }> {
  const result = await client.send({
    url,
    method: 'GET',
    headers: { ...headers, accept: 'application/json' },
    timeoutMs: LIST_TIMEOUT_MS,
    keptBodyBytes: LIST_BYTES,
  });
  if (result.kind === 'failed') return { ok: false, message: result.message };
  if (result.status !== 200) return { ok: false, message: `It answered ${result.status}` };
  if (result.bodyTruncated)
    return { ok: false, message: `It is longer than ${LIST_BYTES} bytes, or did not end` };
  const list = parsed(result.body);
  if (!Array.isArray(list)) return { ok: false, message: 'It is not a JSON array' };
  const names = list.map(namesOf);
  const bad = names.findIndex((of) => of.length === 0);
  return bad === -1
    ? { ok: true, names: names.flat() }
    : { ok: false, message: `Its entry ${bad} has no id` };
}

/** The product's own samples name connections by `profile_url` alone. */
function namesOf(connection: unknown): string[] {
  const { id, profile_url: profile } = (connection ?? {}) as Partial<Record<string, unknown>>;
  return [id, profile]
    .filter((name) => typeof name === 'string' || typeof name === 'number')
    .map(String)
    .filter((name) => USABLE_NAME.test(name));
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return null;
  }
}
