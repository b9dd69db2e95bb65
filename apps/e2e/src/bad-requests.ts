/** What a bad request may refer to. */
export interface Surroundings {
  tenantId: string;
  otherTenantId: string;
  keyId: string;
  /** Of the tenant. */
  endpointId: string;
  deliveryId: string;
  messageId: string;
  /** Of another tenant. */
  foreignEndpointId: string;
  foreignAccountId: string;
  foreignMessageId: string;
  foreignDeliveryId: string;
  /** Of the list of accounts. */
  accountsCursor: string;
  revokedKey: string;
  accountKey: string;
}

export interface BadRequest {
  method: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  /** Whose key it is sent with; the tenant's when not given. Text is sent as the key itself. */
  as?: 'operator' | 'nobody' | { key: string };
}

/**
 * What is sent, and the whole of what the refusal says: status, code, then for each field error its pointer and the
 * rule it breaks. `(body)` is the pointer to the whole body.
 */
export type BadCase = [name: string, refusal: string, request: (s: Surroundings) => BadRequest];

type Path = string | ((s: Surroundings) => string);
type Extras = Pick<BadRequest, 'headers' | 'as'>;

const asking =
  (method: string, path: Path, body?: unknown, extras: Extras = {}) =>
  (s: Surroundings): BadRequest => ({
    method,
    path: typeof path === 'string' ? path : path(s),
    ...(body === undefined ? {} : { body }),
    ...extras,
  });
const get = (path: Path, extras: Extras = {}) => asking('GET', path, undefined, extras);
const publish = (body: unknown, headers: Record<string, string> = {}) =>
  asking('POST', '/v1/accounts/here/messages', body, { headers });
const batch = (body: unknown) => asking('POST', '/v1/accounts/here/messages/batch', body);
const endpoint = (body: unknown) => asking('POST', '/v1/accounts/here/endpoints', body);
const patchEndpoint = (body: unknown, headers: Record<string, string> = {}) =>
  asking('PATCH', (s) => `/v1/endpoints/${s.endpointId}`, body, { headers });

const message = { event_type: 'a.b', payload: {} };
const url = 'https://example.com/';
const ABSENT_ENDPOINT = 'ep_000000000000000000000000000';
const ABSENT_MESSAGE = 'msg_000000000000000000000000000';
const ABSENT_DELIVERY = 'dlv_000000000000000000000000000';
const NO_ACCOUNT = '404 not_found :account absent';
const NO_ENDPOINT = '404 not_found :endpoint absent';
const NOT_THERE = '404 not_found :id absent';
const NO_KEY = '401 unauthenticated authorization required';
const WRONG_KEY = '401 unauthenticated authorization invalid_key';
const NOT_WITH_THIS_KEY = '403 forbidden authorization wrong_key';
const NO_JSON = '400 malformed_json (body) malformed_json';
const NO_CURSOR = '400 invalid_cursor ?cursor invalid_cursor';
const invalid = (errors: string): string => `422 validation_failed ${errors}`;
const big = (bytes: number): string => `"${'x'.repeat(bytes - 2)}"`;

const publishing: BadCase[] = [
  ['an unknown field', invalid('/colour unknown_field'), publish({ ...message, colour: 1 })],
  ['no event type', invalid('/event_type required'), publish({ payload: {} })],
  ['no payload', invalid('/payload required'), publish({ event_type: 'a.b' })],
  ['a number for an event type', invalid('/event_type wrong_type'), publish({ ...message, event_type: 7 })],
  [
    'an event type with a space',
    invalid('/event_type invalid_format'),
    publish({ ...message, event_type: 'a b' }),
  ],
  ['channels that are no list', invalid('/channels wrong_type'), publish({ ...message, channels: 'x' })],
  ['broken JSON', NO_JSON, publish('{"event_type":"a.b","payload":{')],
  ['two values', NO_JSON, publish('{"event_type":"a.b","payload":1} 2')],
  ['no body', NO_JSON, publish('')],
  [
    'bytes that are no UTF-8',
    NO_JSON,
    publish(Buffer.from('{"event_type":"a.b","payload":"\xff"}', 'latin1')),
  ],
  ['a list', invalid('(body) wrong_type'), publish('[]')],
  [
    'brackets without end',
    '400 invalid_request (body) too_deep',
    publish(`{"event_type":"a.b","payload":${'['.repeat(200_000)}`),
  ],
  [
    'a payload of 256 KB and a byte',
    '413 payload_too_large /payload too_large',
    publish(`{"event_type":"a.b","payload":${big(262_145)}}`),
  ],
  [
    'a raw payload of 256 KB and a byte',
    '413 payload_too_large (body) too_large',
    publish(big(262_145), { 'webhook-event-type': 'a.b' }),
  ],
  ['a body of over a megabyte', '413 payload_too_large (body) too_large', publish(big(1_048_577))],
  [
    'form data',
    '415 unsupported_media_type content-type not_served',
    publish('a=b', { 'content-type': 'application/x-www-form-urlencoded' }),
  ],
  [
    'an idempotency key of control characters',
    '400 invalid_request Idempotency-Key invalid_format',
    publish(message, { 'idempotency-key': 'a\tb' }),
  ],
  [
    'an endless idempotency key',
    '400 invalid_request Idempotency-Key invalid_format',
    publish(message, { 'idempotency-key': 'x'.repeat(2_000) }),
  ],
  ['an unknown account', NO_ACCOUNT, asking('POST', '/v1/accounts/nowhere/messages', message)],
  [
    'a foreign account',
    NO_ACCOUNT,
    asking('POST', (s) => `/v1/accounts/${s.foreignAccountId}/messages`, message),
  ],
  ['no key', NO_KEY, asking('POST', '/v1/accounts/here/messages', message, { as: 'nobody' })],
  [
    'the operator key',
    NOT_WITH_THIS_KEY,
    asking('POST', '/v1/accounts/here/messages', message, { as: 'operator' }),
  ],
  ['a batch of none', invalid('/messages too_few'), batch({ messages: [] })],
  [
    'a batch of 101',
    invalid('/messages too_many'),
    batch({ messages: Array.from({ length: 101 }, () => message) }),
  ],
  [
    'a batch with one bad message',
    invalid('/messages/1/event_type required'),
    batch({ messages: [message, { payload: {} }] }),
  ],
];

const configuring: BadCase[] = [
  ['tenant: no name', invalid('/name required'), asking('POST', '/v1/tenants', {}, { as: 'operator' })],
  [
    'tenant: an unknown field',
    invalid('/plan unknown_field'),
    asking('POST', '/v1/tenants', { name: 'x', plan: 'gold' }, { as: 'operator' }),
  ],
  ['tenant: with a tenant key', NOT_WITH_THIS_KEY, asking('POST', '/v1/tenants', { name: 'x' })],
  [
    'key: an account key without an account',
    invalid('/account scope_mismatch'),
    asking('POST', (s) => `/v1/tenants/${s.tenantId}/keys`, { scope: 'account' }, { as: 'operator' }),
  ],
  [
    'account: a uid with a slash',
    '400 invalid_request :account invalid_format',
    asking('PUT', '/v1/accounts/a%2Fb', {}),
  ],
  [
    'account: a uid with a NUL',
    '400 invalid_request :account invalid_format',
    asking('PUT', '/v1/accounts/a%00b', {}),
  ],
  [
    'account: a number for a name',
    invalid('/name wrong_type'),
    asking('PUT', '/v1/accounts/numbered', { name: 7 }),
  ],
  [
    'account: a name with a NUL',
    '400 invalid_request /name bad_string',
    asking('PUT', '/v1/accounts/nul', { name: 'a\0b' }),
  ],
  [
    'account: a name twice',
    '400 invalid_request /name duplicate_field',
    asking('PUT', '/v1/accounts/twice', '{"name":"a","name":"b"}'),
  ],
  [
    'account: XML',
    '415 unsupported_media_type content-type not_served',
    asking('PUT', '/v1/accounts/xml', '<a/>', { headers: { 'content-type': 'application/xml' } }),
  ],
  ['endpoint: no URL', invalid('/url required'), endpoint({})],
  ['endpoint: a URL that is none', invalid('/url not_a_url'), endpoint({ url: 'somewhere' })],
  [
    'endpoint: a URL inside our network',
    invalid('/url private_address'),
    endpoint({ url: 'https://169.254.169.254/latest' }),
  ],
  [
    'endpoint: a retry policy with two answers',
    invalid('/retry_policy no_match'),
    endpoint({ url, retry_policy: { preset: 'ada', schedule_seconds: [1] } }),
  ],
  [
    'endpoint: a delay before the start',
    invalid('/retry_policy/schedule_seconds/0 too_small'),
    endpoint({ url, retry_policy: { schedule_seconds: [-1] } }),
  ],
  [
    'endpoint: a timeout of an hour',
    invalid('/timeout_seconds too_large'),
    endpoint({ url, timeout_seconds: 3_600 }),
  ],
  [
    'endpoint: a header of ours',
    invalid('/headers/webhook-id reserved_header'),
    endpoint({ url, headers: { 'webhook-id': 'x' } }),
  ],
  ['endpoint: malformed JSON', NO_JSON, endpoint('{"url":')],
  ['endpoint: two mistakes', invalid('/url wrong_type /size unknown_field'), endpoint({ url: 1, size: 1 })],
  [
    'endpoint: an outdated If-Match',
    '412 precondition_failed if-match version_mismatch',
    patchEndpoint({ description: 'x' }, { 'if-match': '"99"' }),
  ],
  [
    'endpoint: an If-Match that is none',
    '412 precondition_failed if-match version_mismatch',
    patchEndpoint({ description: 'x' }, { 'if-match': 'yes' }),
  ],
  [
    'endpoint: a foreign one changed',
    NO_ENDPOINT,
    asking('PATCH', (s) => `/v1/endpoints/${s.foreignEndpointId}`, { description: 'x' }),
  ],
  [
    'endpoint: a foreign one deleted',
    NO_ENDPOINT,
    asking('DELETE', (s) => `/v1/endpoints/${s.foreignEndpointId}`),
  ],
  [
    'event type: a name with a space',
    invalid('/name invalid_format'),
    asking('POST', '/v1/event-types', { name: 'a b' }),
  ],
];

const reading: BadCase[] = [
  ['an absent endpoint', NO_ENDPOINT, get(`/v1/endpoints/${ABSENT_ENDPOINT}`)],
  ['a foreign endpoint', NO_ENDPOINT, get((s) => `/v1/endpoints/${s.foreignEndpointId}`)],
  ['a foreign secret', NO_ENDPOINT, get((s) => `/v1/endpoints/${s.foreignEndpointId}/secret`)],
  ['a foreign account', NO_ACCOUNT, get((s) => `/v1/accounts/${s.foreignAccountId}`)],
  ['a foreign tenant', NOT_WITH_THIS_KEY, get((s) => `/v1/tenants/${s.otherTenantId}`)],
  ['an absent message', NOT_THERE, get(`/v1/messages/${ABSENT_MESSAGE}`)],
  ['a foreign message', NOT_THERE, get((s) => `/v1/messages/${s.foreignMessageId}`)],
  ['a foreign payload', NOT_THERE, get((s) => `/v1/messages/${s.foreignMessageId}/payload`)],
  ['an absent delivery', NOT_THERE, get(`/v1/deliveries/${ABSENT_DELIVERY}`)],
  ['a foreign delivery', NOT_THERE, get((s) => `/v1/deliveries/${s.foreignDeliveryId}`)],
  ["a foreign delivery's attempts", NOT_THERE, get((s) => `/v1/deliveries/${s.foreignDeliveryId}/attempts`)],
  ['an id of another kind', NOT_THERE, get((s) => `/v1/deliveries/${s.messageId}`)],
  ['an id with a NUL', NOT_THERE, get((s) => `/v1/deliveries/${s.deliveryId}%00`)],
  ['deliveries of an unknown account', NO_ACCOUNT, get('/v1/accounts/nowhere/deliveries')],
  [
    'a status that is none',
    '400 invalid_request ?status invalid_value',
    get('/v1/accounts/here/deliveries?status=fine'),
  ],
  [
    'a time that is none',
    '400 invalid_request ?since invalid_format',
    get('/v1/accounts/here/deliveries?since=noon'),
  ],
  ['a limit of 0', '400 invalid_request ?limit too_small', get('/v1/accounts?limit=0')],
  ['a limit of a billion', '400 invalid_request ?limit too_large', get('/v1/accounts?limit=1000000000')],
  [
    'a limit that is a word',
    '400 invalid_request ?limit wrong_type',
    get('/v1/accounts/here/messages?limit=all'),
  ],
  ['an unknown filter', '400 invalid_request ?colour unknown_field', get('/v1/accounts?colour=red')],
  ['a made-up cursor', NO_CURSOR, get('/v1/accounts?cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')],
  ['a cursor of another list', NO_CURSOR, get((s) => `/v1/event-types?cursor=${s.accountsCursor}`)],
  ['a cursor cut short', NO_CURSOR, get((s) => `/v1/accounts?cursor=${s.accountsCursor.slice(0, -4)}`)],
  ['a made-up cursor of deliveries', NO_CURSOR, get('/v1/accounts/here/deliveries?cursor=AAAA')],
];

const knocking: BadCase[] = [
  ['no key', NO_KEY, get('/v1/accounts', { as: 'nobody' })],
  ['a garbled key', WRONG_KEY, get('/v1/accounts', { as: { key: 'ph_tenant_garbled' } })],
  ['an overlong key', WRONG_KEY, get('/v1/accounts', { as: { key: 'x'.repeat(5_000) } })],
  [
    'another kind of authorization',
    WRONG_KEY,
    get('/v1/accounts', { as: 'nobody', headers: { authorization: 'Basic YTpi' } }),
  ],
  ['a revoked key', WRONG_KEY, (s) => ({ ...get('/v1/accounts')(s), as: { key: s.revokedKey } })],
  ['a revoked key that publishes', WRONG_KEY, (s) => ({ ...publish(message)(s), as: { key: s.revokedKey } })],
  [
    "an account's key for another account",
    NO_ACCOUNT,
    (s) => ({ ...get('/v1/accounts/elsewhere')(s), as: { key: s.accountKey } }),
  ],
  ['a path that is none', '404 not_found', get('/v1/nothing')],
  ['a path outside the API', '404 not_found', get('/%00')],
  ['a path that does not decode', '400 invalid_request', get('/v1/accounts/%zz')],
  ['a method that is not served', '405 method_not_allowed', asking('DELETE', '/v1/accounts')],
  [
    'another method that is not served',
    '405 method_not_allowed',
    asking('PUT', (s) => `/v1/endpoints/${s.endpointId}`, {}),
  ],
];

const named = (subject: string, cases: BadCase[]): BadCase[] =>
  cases.map(([name, refusal, request]) => [`${subject}: ${name}`, refusal, request]);

/** Every kind of thing a program gets wrong, with the answer that tells it what. */
export const badRequests: BadCase[] = [
  ...named('publish', publishing),
  ...configuring,
  ...named('read', reading),
  ...named('ask', knocking),
];
