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

export interface Refusal {
  status: number;
  code: string;
  /** Of the first field error. */
  pointer?: string;
  rule?: string;
}

export type BadCase = [name: string, request: (s: Surroundings) => BadRequest, refusal: Refusal];

const ABSENT_ENDPOINT = 'ep_000000000000000000000000000';
const ABSENT_MESSAGE = 'msg_000000000000000000000000000';
const ABSENT_DELIVERY = 'dlv_000000000000000000000000000';
const notFound: Refusal = { status: 404, code: 'not_found' };
const unknownKey: Refusal = { status: 401, code: 'unauthenticated' };
const forbidden: Refusal = { status: 403, code: 'forbidden' };
const field = (pointer: string, rule: string): Refusal => ({
  status: 422,
  code: 'validation_failed',
  pointer,
  rule,
});
const malformed: Refusal = { status: 400, code: 'malformed_json' };
const wrongMedia: Refusal = { status: 415, code: 'unsupported_media_type' };
const badQuery = (pointer: string): Refusal => ({ status: 400, code: 'invalid_request', pointer });

const publish = (body: unknown, headers?: Record<string, string>) => (): BadRequest => ({
  method: 'POST',
  path: '/v1/accounts/here/messages',
  body,
  ...(headers === undefined ? {} : { headers }),
});
const endpoint = (body: unknown) => (): BadRequest => ({
  method: 'POST',
  path: '/v1/accounts/here/endpoints',
  body,
});
const get =
  (path: (s: Surroundings) => string) =>
  (s: Surroundings): BadRequest => ({ method: 'GET', path: path(s) });
const big = (bytes: number): string => `"${'x'.repeat(bytes - 2)}"`;

const publishing: BadCase[] = [
  [
    'publish: an unknown field',
    publish({ event_type: 'a.b', payload: {}, colour: 1 }),
    field('/colour', 'unknown_field'),
  ],
  ['publish: no event type', publish({ payload: {} }), field('/event_type', 'required')],
  ['publish: no payload', publish({ event_type: 'a.b' }), field('/payload', 'required')],
  [
    'publish: an event type of the wrong kind',
    publish({ event_type: 7, payload: {} }),
    field('/event_type', 'wrong_type'),
  ],
  [
    'publish: an event type with a space',
    publish({ event_type: 'a b', payload: {} }),
    field('/event_type', 'pattern'),
  ],
  [
    'publish: channels that are no list',
    publish({ event_type: 'a.b', payload: {}, channels: 'x' }),
    field('/channels', 'wrong_type'),
  ],
  ['publish: broken JSON', publish('{"event_type":"a.b","payload":{'), malformed],
  ['publish: two values', publish('{"event_type":"a.b","payload":1} 2'), malformed],
  ['publish: no body', publish(''), malformed],
  ['publish: a list', publish('[]'), { status: 422, code: 'validation_failed' }],
  [
    'publish: a payload of 256 KB and a byte',
    publish(`{"event_type":"a.b","payload":${big(262_145)}}`),
    { status: 413, code: 'payload_too_large' },
  ],
  [
    'publish: a raw payload of 256 KB and a byte',
    publish(big(262_145), { 'webhook-event-type': 'a.b' }),
    { status: 413, code: 'payload_too_large' },
  ],
  ['publish: a body of over a megabyte', publish(big(1_048_577)), { status: 413, code: 'payload_too_large' }],
  ['publish: form data', publish('a=b', { 'content-type': 'application/x-www-form-urlencoded' }), wrongMedia],
  [
    'publish: an idempotency key of control characters',
    publish({ event_type: 'a.b', payload: {} }, { 'idempotency-key': 'a\tb' }),
    { status: 400, code: 'invalid_request' },
  ],
  [
    'publish: an unknown account',
    () => ({ ...publish({ event_type: 'a.b', payload: {} })(), path: '/v1/accounts/nowhere/messages' }),
    notFound,
  ],
  [
    'publish: a foreign account',
    (s) => ({
      ...publish({ event_type: 'a.b', payload: {} })(),
      path: `/v1/accounts/${s.foreignAccountId}/messages`,
    }),
    notFound,
  ],
  [
    'publish: without a key',
    () => ({ ...publish({ event_type: 'a.b', payload: {} })(), as: 'nobody' }),
    unknownKey,
  ],
  [
    'publish: with the operator key',
    () => ({ ...publish({ event_type: 'a.b', payload: {} })(), as: 'operator' }),
    forbidden,
  ],
];

const configuring: BadCase[] = [
  [
    'tenant: no name',
    () => ({ method: 'POST', path: '/v1/tenants', body: {}, as: 'operator' }),
    field('/name', 'required'),
  ],
  [
    'tenant: an unknown field',
    () => ({ method: 'POST', path: '/v1/tenants', body: { name: 'x', plan: 'gold' }, as: 'operator' }),
    field('/plan', 'unknown_field'),
  ],
  [
    'tenant: with a tenant key',
    () => ({ method: 'POST', path: '/v1/tenants', body: { name: 'x' } }),
    forbidden,
  ],
  [
    'key: an account key without an account',
    (s) => ({
      method: 'POST',
      path: `/v1/tenants/${s.tenantId}/keys`,
      body: { scope: 'account' },
      as: 'operator',
    }),
    field('/account', 'scope_mismatch'),
  ],
  [
    'account: a uid with a slash',
    () => ({ method: 'PUT', path: '/v1/accounts/a%2Fb', body: {} }),
    { status: 400, code: 'invalid_request' },
  ],
  [
    'account: a name that is a number',
    () => ({ method: 'PUT', path: '/v1/accounts/numbered', body: { name: 7 } }),
    field('/name', 'wrong_type'),
  ],
  [
    'account: a name twice',
    () => ({ method: 'PUT', path: '/v1/accounts/twice', body: '{"name":"a","name":"b"}' }),
    { status: 400, code: 'invalid_request', pointer: '/name', rule: 'duplicate_field' },
  ],
  [
    'account: XML',
    () => ({
      method: 'PUT',
      path: '/v1/accounts/xml',
      body: '<a/>',
      headers: { 'content-type': 'application/xml' },
    }),
    wrongMedia,
  ],
  ['endpoint: no URL', endpoint({}), field('/url', 'required')],
  [
    'endpoint: a URL that is none',
    endpoint({ url: 'somewhere' }),
    { status: 422, code: 'validation_failed', pointer: '/url' },
  ],
  [
    'endpoint: a URL inside our network',
    endpoint({ url: 'https://169.254.169.254/latest' }),
    { status: 422, code: 'validation_failed', pointer: '/url' },
  ],
  [
    'endpoint: a retry policy with two answers',
    endpoint({ url: 'https://example.com/', retry_policy: { preset: 'ada', schedule_seconds: [1] } }),
    { status: 422, code: 'validation_failed' },
  ],
  [
    'endpoint: a timeout of an hour',
    endpoint({ url: 'https://example.com/', timeout_seconds: 3_600 }),
    field('/timeout_seconds', 'too_large'),
  ],
  [
    'endpoint: a header of ours',
    endpoint({ url: 'https://example.com/', headers: { 'webhook-id': 'x' } }),
    { status: 422, code: 'validation_failed' },
  ],
  ['endpoint: malformed JSON', endpoint('{"url":'), malformed],
  [
    'endpoint: an outdated If-Match',
    (s) => ({
      method: 'PATCH',
      path: `/v1/endpoints/${s.endpointId}`,
      body: { description: 'x' },
      headers: { 'if-match': '"99"' },
    }),
    { status: 412, code: 'precondition_failed' },
  ],
  [
    'endpoint: a foreign one changed',
    (s) => ({ method: 'PATCH', path: `/v1/endpoints/${s.foreignEndpointId}`, body: { description: 'x' } }),
    notFound,
  ],
  [
    'endpoint: a foreign one deleted',
    (s) => ({ method: 'DELETE', path: `/v1/endpoints/${s.foreignEndpointId}` }),
    notFound,
  ],
  [
    'event type: a name with a space',
    () => ({ method: 'POST', path: '/v1/event-types', body: { name: 'a b' } }),
    { status: 422, code: 'validation_failed', pointer: '/name' },
  ],
];

const reading: BadCase[] = [
  ['an absent endpoint', get(() => `/v1/endpoints/${ABSENT_ENDPOINT}`), notFound],
  ['a foreign endpoint', get((s) => `/v1/endpoints/${s.foreignEndpointId}`), notFound],
  ['a foreign secret', get((s) => `/v1/endpoints/${s.foreignEndpointId}/secret`), notFound],
  ['a foreign account', get((s) => `/v1/accounts/${s.foreignAccountId}`), notFound],
  ['a foreign tenant', (s) => ({ method: 'GET', path: `/v1/tenants/${s.otherTenantId}` }), forbidden],
  ['an absent message', get(() => `/v1/messages/${ABSENT_MESSAGE}`), notFound],
  ['a foreign message', get((s) => `/v1/messages/${s.foreignMessageId}`), notFound],
  ['a foreign payload', get((s) => `/v1/messages/${s.foreignMessageId}/payload`), notFound],
  ['an absent delivery', get(() => `/v1/deliveries/${ABSENT_DELIVERY}`), notFound],
  ['a foreign delivery', get((s) => `/v1/deliveries/${s.foreignDeliveryId}`), notFound],
  ["a foreign delivery's attempts", get((s) => `/v1/deliveries/${s.foreignDeliveryId}/attempts`), notFound],
  ['an id of another kind', get((s) => `/v1/deliveries/${s.messageId}`), notFound],
  ['deliveries of an unknown account', get(() => '/v1/accounts/nowhere/deliveries'), notFound],
  ['a status that is none', get(() => '/v1/accounts/here/deliveries?status=fine'), badQuery('?status')],
  ['a time that is none', get(() => '/v1/accounts/here/deliveries?since=yesterday'), badQuery('?since')],
  ['a limit of 0', get(() => '/v1/accounts?limit=0'), badQuery('?limit')],
  ['a limit that is a word', get(() => '/v1/accounts/here/messages?limit=all'), badQuery('?limit')],
  ['an unknown filter', get(() => '/v1/accounts?colour=red'), badQuery('?colour')],
  [
    'a made-up cursor',
    get(() => '/v1/accounts?cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
    { status: 400, code: 'invalid_cursor', pointer: '?cursor' },
  ],
  [
    'a cursor of another list',
    get((s) => `/v1/event-types?cursor=${s.accountsCursor}`),
    { status: 400, code: 'invalid_cursor', pointer: '?cursor' },
  ],
  [
    'a cursor cut short',
    get((s) => `/v1/accounts?cursor=${s.accountsCursor.slice(0, -4)}`),
    { status: 400, code: 'invalid_cursor', pointer: '?cursor' },
  ],
];

const asking: BadCase[] = [
  ['no key', () => ({ method: 'GET', path: '/v1/accounts', as: 'nobody' }), unknownKey],
  [
    'a garbled key',
    () => ({ method: 'GET', path: '/v1/accounts', as: { key: 'ph_tenant_garbled' } }),
    unknownKey,
  ],
  [
    'an overlong key',
    () => ({ method: 'GET', path: '/v1/accounts', as: { key: 'x'.repeat(5_000) } }),
    unknownKey,
  ],
  [
    'another kind of authorization',
    () => ({ method: 'GET', path: '/v1/accounts', as: 'nobody', headers: { authorization: 'Basic YTpi' } }),
    unknownKey,
  ],
  ['a revoked key', (s) => ({ method: 'GET', path: '/v1/accounts', as: { key: s.revokedKey } }), unknownKey],
  [
    'a revoked key that publishes',
    (s) => ({ ...publish({ event_type: 'a.b', payload: {} })(), as: { key: s.revokedKey } }),
    unknownKey,
  ],
  [
    "an account's key for another account",
    (s) => ({ method: 'GET', path: '/v1/accounts/elsewhere', as: { key: s.accountKey } }),
    notFound,
  ],
  ['a path that is none', get(() => '/v1/nothing'), notFound],
  ['a path outside the API', get(() => '/%00'), notFound],
  [
    'a method that is not served',
    () => ({ method: 'DELETE', path: '/v1/accounts' }),
    { status: 405, code: 'method_not_allowed' },
  ],
  [
    'another method that is not served',
    (s) => ({ method: 'PUT', path: `/v1/endpoints/${s.endpointId}`, body: {} }),
    { status: 405, code: 'method_not_allowed' },
  ],
];

/** Every kind of thing a program gets wrong, with the answer that tells it what. */
export const badRequests: BadCase[] = [...publishing, ...configuring, ...reading, ...asking];
