import { z } from 'zod';
import { Trigger } from '../message.js';

/**
 * The facts about deliveries, in the topic `deliveries`. A shipped event is never edited: a new version is added
 * above the old one, with an upcaster and a golden record.
 */

/** What names a delivery in every one of its events; enough to draw its row without another look-up. */
const deliveryKey = {
  delivery: z.string(),
  message: z.string(),
  tenant: z.string(),
  account: z.string(),
  endpoint: z.string(),
  eventType: z.string(),
  /** When the message was accepted, ms since 1970. */
  acceptedAt: z.number().int(),
  /** The attempt this event is about, from 1. */
  attempt: z.number().int().positive(),
  trigger: Trigger,
  /** Only of an endpoint that orders by key: the message's key, and its place among the account's messages. */
  ordering: z
    .object({
      key: z.string(),
      position: z.number().int(),
      /** It is exhausted, and those behind it wait for a person. */
      blocks: z.literal(true).optional(),
    })
    .optional(),
};

/** The closed set of reasons an attempt failed; each has its sentence in `attemptErrors`. */
export const AttemptErrorClass = z.enum([
  'http_status',
  'http_redirect',
  'timeout',
  'connect_timeout',
  'connection',
  'dns',
  'tls_certificate_expired',
  'tls_certificate_untrusted',
  'tls_name_mismatch',
  'tls_handshake',
  'proxy',
  'protocol',
  'headers_overflow',
  'blocked_address',
  'invalid_url',
  'auth_token_unreachable',
  'auth_token_timeout',
  'auth_token_refused',
  'auth_token_unavailable',
  'auth_token_invalid',
  'internal',
]);
export type AttemptErrorClass = z.infer<typeof AttemptErrorClass>;

const Timings = z.object({
  /** Milliseconds spent resolving the name; absent on a reused connection, as is `tlsMs`. */
  dnsMs: z.number().optional(),
  /** Until the connection was usable, look-up and handshake included; 0 on a reused connection. */
  connectMs: z.number().optional(),
  tlsMs: z.number().optional(),
  firstByteMs: z.number().optional(),
  totalMs: z.number(),
});
export type Timings = z.infer<typeof Timings>;

type HeaderList = Record<string, string | string[]>;
/** By hand: every attempt has two of them, and a schema for their members took a third of the time to read one. */
const HeaderList = z.custom<HeaderList>(isHeaderList);

function isHeaderList(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every(
    (one) => typeof one === 'string' || (Array.isArray(one) && one.every((each) => typeof each === 'string')),
  );
}

export const AttemptResponse = z.object({
  status: z.number().int(),
  headers: HeaderList,
  /** The first 16 KB of the raw response bytes, base64. */
  body: z.string(),
  bodyTruncated: z.boolean(),
});
export type AttemptResponse = z.infer<typeof AttemptResponse>;

/** What the connection was secured with: `TLSv1.3`, and the name the certificate was issued to. */
export const TlsFacts = z.object({ version: z.string(), certificate: z.string() });
export type TlsFacts = z.infer<typeof TlsFacts>;

export const CancelReason = z.enum([
  'endpoint_deleted',
  'endpoint_disabled',
  /** The receiver answered 410, or asked with `webhook-delivery: disable`. */
  'endpoint_gone',
  /** The receiver asked with `webhook-delivery: abort-message`. */
  'receiver_aborted',
  /** Somebody asked for it. */
  'requested',
]);
export type CancelReason = z.infer<typeof CancelReason>;

/** What was decided after the attempt. */
export const Decision = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('delivered'),
    /** The receiver took the message and asked, with `webhook-delivery: disable`, for no more. */
    endpointGone: z.literal(true).optional(),
  }),
  z.object({ kind: z.literal('retry'), at: z.number().int() }),
  z.object({ kind: z.literal('exhausted') }),
  z.object({ kind: z.literal('cancelled'), reason: CancelReason }),
]);
export type Decision = z.infer<typeof Decision>;

export const DeliveryAttempted = z.object({
  type: z.literal('DeliveryAttempted'),
  v: z.literal(1),
  ...deliveryKey,
  /** `att_...`, derived from the delivery and the attempt's number. */
  id: z.string(),
  startedAt: z.number().int(),
  endpointVersion: z.number().int(),
  profile: z.string(),
  outcome: z.enum(['succeeded', 'failed']),
  error: z.object({ class: AttemptErrorClass, message: z.string() }).optional(),
  request: z.object({ url: z.string(), headers: HeaderList }),
  response: AttemptResponse.optional(),
  /** The resolved address and port the request went to. */
  address: z.string().optional(),
  tls: TlsFacts.optional(),
  timings: Timings,
  decision: Decision,
});
export type DeliveryAttempted = z.infer<typeof DeliveryAttempted>;

/** No attempt was made: the lane was full. The same attempt number is owed at `until`. */
export const DeliveryDeferred = z.object({
  type: z.literal('DeliveryDeferred'),
  v: z.literal(1),
  ...deliveryKey,
  at: z.number().int(),
  until: z.number().int(),
  reason: z.enum([
    'lane_full',
    'lane_slow',
    'rate_limited',
    'breaker_open',
    'behind_key',
    'window_full',
    'shutdown',
    'config_unavailable',
  ]),
});
export type DeliveryDeferred = z.infer<typeof DeliveryDeferred>;

/** Nothing more will be sent for this delivery. */
export const DeliveryCancelled = z.object({
  type: z.literal('DeliveryCancelled'),
  v: z.literal(1),
  ...deliveryKey,
  at: z.number().int(),
  reason: CancelReason,
});
export type DeliveryCancelled = z.infer<typeof DeliveryCancelled>;

/**
 * One more attempt was asked for: it is owed now, whatever the delivery's state, and nothing follows it by itself. The
 * attempt's number is what tells requests apart: two that name the same one are one.
 */
export const DeliveryRequested = z.object({
  type: z.literal('DeliveryRequested'),
  v: z.literal(1),
  ...deliveryKey,
  at: z.number().int(),
  /** Who asked: a key's id. */
  by: z.string(),
  /** `rpl_...`, when it is one of many a replay asks for. */
  replay: z.string().optional(),
});
export type DeliveryRequested = z.infer<typeof DeliveryRequested>;

/**
 * What came of the copy of an attempt that went to the endpoint's shadow URL. For people to compare: it counts for
 * nothing, in the delivery's state or elsewhere.
 */
export const ShadowAttempted = z.object({
  type: z.literal('ShadowAttempted'),
  v: z.literal(1),
  ...deliveryKey,
  startedAt: z.number().int(),
  url: z.string(),
  outcome: z.enum(['succeeded', 'failed']),
  error: z.object({ class: AttemptErrorClass, message: z.string() }).optional(),
  response: AttemptResponse.optional(),
  address: z.string().optional(),
  timings: Timings,
});
export type ShadowAttempted = z.infer<typeof ShadowAttempted>;

export const DeliveryEvent = z.discriminatedUnion('type', [
  DeliveryAttempted,
  DeliveryDeferred,
  DeliveryCancelled,
  DeliveryRequested,
  ShadowAttempted,
]);
export type DeliveryEvent = z.infer<typeof DeliveryEvent>;

/** A delivery's states as people see them. */
export const DeliveryStatus = z.enum([
  'pending',
  'delivered',
  'retrying',
  'deferred',
  'exhausted',
  'cancelled',
]);
export type DeliveryStatus = z.infer<typeof DeliveryStatus>;

/** One sentence per error class, fit to be read by the customer whose endpoint it was. */
export const attemptErrors: Record<AttemptErrorClass, string> = {
  http_status: 'The endpoint answered, but not with a status that acknowledges the message.',
  http_redirect: 'The endpoint answered with a redirect; redirects are not followed.',
  timeout: 'The endpoint did not answer within the time allowed.',
  connect_timeout: 'No connection to the endpoint could be made within the time allowed.',
  connection: 'The connection to the endpoint was refused or broke.',
  dns: "The endpoint's host name could not be resolved.",
  tls_certificate_expired: "The endpoint's TLS certificate has expired or is not valid yet.",
  tls_certificate_untrusted: "The endpoint's TLS certificate was not issued by an authority we trust.",
  tls_name_mismatch: "The endpoint's TLS certificate was issued for another name.",
  tls_handshake: 'No secure connection to the endpoint could be agreed on; TLS 1.2 is the least we accept.',
  proxy: 'Our egress proxy did not connect us to the endpoint.',
  protocol: 'The endpoint did not answer in valid HTTP.',
  headers_overflow: "The endpoint's response headers were too large.",
  blocked_address: "The endpoint's host resolves to an address that may not be called.",
  invalid_url: "The endpoint's URL cannot be called.",
  auth_token_unreachable: 'The token server of the endpoint could not be reached.',
  auth_token_timeout: 'The token server of the endpoint did not answer within the time allowed.',
  auth_token_refused: 'The token server of the endpoint refused our credentials or the token asked for.',
  auth_token_unavailable: 'The token server of the endpoint answered that it cannot serve us now.',
  auth_token_invalid: 'The token server of the endpoint answered with something that is not a bearer token.',
  internal: 'The attempt failed for a reason on our side.',
};
