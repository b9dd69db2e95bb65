import {
  CreateEndpoint,
  EventTypeName,
  type OAuthInput,
  type PatchEndpoint,
  TextSecret,
} from '@posthaste/contracts';
import { z } from 'zod';
import type { EndpointRow } from '../../endpoints/endpoint.entity.js';
import { fieldProblem } from '../../http/refusals.js';
import { checked } from '../../http/validate.js';
import { emptyIsNone, oidcFields, oidcOf, toOAuth } from './oidc-fields.js';

/**
 * A webhook of Middesk as an endpoint of ours, and back. Where its documents are silent, the guess is here:
 *
 * - What a webhook says of itself (`id`, `object`, `created_at`, `updated_at`, `oauth_client_id`) may be sent back and
 *   changes nothing; any other name that is no field is refused.
 * - `oauth_client_id` names the OAuth application a webhook was made through. Ours are made with keys: it is null.
 * - Any time in `disabled_at` disables now, and is shown as that moment in UTC. A webhook that was disabled for another
 *   reason shows when that was.
 * - An empty text says as much as null: there is none. Clients in Go send one for whatever was not set.
 * - `include` is given back as it was said. Known are the associations of a business, and of the other objects that events
 *   are about whatever is no scalar in one: else no `include` could keep an order's subproducts.
 * - Without a `secret` requests are not signed: it may be left out, and taken away by null.
 *
 * Nothing here keeps a secret: the answers have no field for one, and our own API does not show it either.
 */
const associations = new Set(
  // Of a business.
  (
    'addresses adverse_media_screening bankruptcies certifications documents email_addresses fmcsa_registrations ' +
    'formation industry_classification liens litigations loans monitor names orders people phone_numbers ' +
    'policy_results politically_exposed_person_screening profiles registrations requester review signal submitted ' +
    'subscription subscription_availability supported_document_types tags tax_exempt_organization tin watchlist website ' +
    // Of orders, registrations, people, liens, addresses, bankruptcies, monitors and watchlists.
    'subproducts officers registered_agent titles people_bankruptcies criminal_records sources debtors secured_parties ' +
    'lien_termination labels case_updates event_types agencies lists'
  ).split(' '),
);

const IDENTIFIERS = 'identifiers';
const ALL = '*';

const readOnly = z.unknown().optional();
export const CreateWebhook = z.strictObject({
  object: readOnly,
  id: readOnly,
  created_at: readOnly,
  updated_at: readOnly,
  oauth_client_id: readOnly,
  url: z.string().min(1).max(2_048),
  enabled_events: z
    .array(z.union([z.literal(ALL), EventTypeName]))
    .min(1)
    .max(500),
  secret: emptyIsNone(TextSecret),
  include: emptyIsNone(z.string().max(1_024)),
  disabled_at: emptyIsNone(z.iso.datetime({ offset: true })),
  ...oidcFields,
});
export type CreateWebhook = z.infer<typeof CreateWebhook>;

export const UpdateWebhook = CreateWebhook.partial();
export type UpdateWebhook = z.infer<typeof UpdateWebhook>;

export function webhookView(row: EndpointRow) {
  return {
    object: 'webhook',
    id: row.uid,
    url: row.url,
    enabled_events: row.eventTypes.length === 0 ? [ALL] : row.eventTypes,
    include: includeOf(row),
    ...oidcOf(row),
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
    disabled_at: row.disabledAt?.toISOString() ?? null,
    oauth_client_id: null,
  };
}

/**
 * All but the secret and the time it says it was disabled.
 *
 * @param signingKey what assertions are signed with, as a JWK with its certificate
 */
export function toCreate(
  input: CreateWebhook,
  id: string,
  signingKey: OAuthInput['private_key'],
): CreateEndpoint {
  const { url, enabled_events, include, disabled_at } = input;
  return checked(CreateEndpoint, {
    url,
    uid: id,
    event_types: toEventTypes(enabled_events),
    enabled: (disabled_at ?? null) === null,
    profile: 'middesk',
    retry_policy: { preset: 'middesk' },
    include: namesIn(include ?? null),
    metadata: include == null ? {} : { include },
    oauth: toOAuth(input, null, signingKey) ?? null,
  });
}

/** What changes of the endpoint, but for the secret and the time it says it was disabled. */
export function toPatch(
  input: UpdateWebhook,
  row: EndpointRow,
  signingKey: OAuthInput['private_key'],
): PatchEndpoint {
  const { url, enabled_events, include, disabled_at } = input;
  const oauth = toOAuth(input, row, signingKey);
  return {
    ...(url === undefined ? {} : { url }),
    ...(enabled_events === undefined ? {} : { event_types: toEventTypes(enabled_events) }),
    // As the core keeps it, and as it was said.
    ...(include === undefined ? {} : { include: namesIn(include), metadata: { include } }),
    ...(disabled_at === undefined ? {} : { enabled: disabled_at === null }),
    ...(oauth === undefined ? {} : { oauth }),
  };
}

/** The whole set of events, if it is among them. */
function toEventTypes(events: string[]): string[] {
  return events.includes(ALL) ? [] : events;
}

/** The members that go along with the scalars; null = all. */
function namesIn(include: string | null): string[] | null {
  const said = (include ?? ALL)
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (said.length === 0) throw unknownAssociation(`names nothing; ${IDENTIFIERS} is for scalars only`);
  if (said.includes(ALL)) return null;
  const named = said.filter((name) => name !== IDENTIFIERS);
  const unknown = named.filter((name) => !associations.has(name));
  if (unknown.length === 0) return named;
  throw unknownAssociation(`names no association: ${unknown.slice(0, 10).join(', ').slice(0, 200)}`);
}

function unknownAssociation(message: string) {
  return fieldProblem([{ pointer: '/include', code: 'unknown_association', message }]);
}

/** As it was said, unless another API has changed it since. */
function includeOf({ include, metadata }: EndpointRow): string | null {
  const raw = metadata['include'];
  const kept = include === null ? null : include.length === 0 ? IDENTIFIERS : include.join(',');
  if (raw === undefined) return kept;
  try {
    return JSON.stringify(namesIn(raw)) === JSON.stringify(include) ? raw : kept;
  } catch {
    return kept;
  }
}
