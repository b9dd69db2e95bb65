import { z } from 'zod';
import { AssertionAlgorithm, OAuthClient } from '../configuration.js';

/**
 * How an endpoint's receiver knows us beside the signature: by an OAuth 2.0 access token, or by a client certificate.
 * Secrets are written and never read back.
 */

/** RFC 6749 appendix A: what client ids and secrets are made of. */
const VISIBLE = /^[\x20-\x7e]+$/;
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/;
const PEM_CHARS = 16_384;

const Method = OAuthClient.shape.method;

const url = z.string().min(1).max(2_048);
const text = (chars: number) => z.string().min(1).max(chars).regex(VISIBLE, 'must be visible ASCII');

const PrivateKey = z
  .union([z.string().min(1).max(PEM_CHARS), z.record(z.string().max(64), z.unknown())])
  .meta({
    description:
      'An own private key for `private_key_jwt`: PEM (PKCS #8, SEC 1 or PKCS #1) or a JWK, whose `kid` and `x5c` are kept. Without it we make one; null in a patch makes a new one, which is published at once and signs five minutes later. Written, never read back.',
    writeOnly: true,
  });

const settings = {
  token_url: url.meta({ description: 'The token endpoint; the rules for `url` apply.' }),
  client_id: text(512),
  method: Method.meta({ description: 'How we authenticate at the token endpoint.' }),
  alg: AssertionAlgorithm.meta({
    description: 'Of `private_key_jwt`; absent: ES256, or what fits your key.',
  }),
  scope: z.string().max(1_024).regex(SCOPE, 'must be scope tokens with single spaces between them'),
  resource: z
    .array(
      url.refine(isResource, {
        error: 'must be an absolute URI without a fragment',
        params: { rule: 'bad_uri' },
      }),
    )
    .max(10)
    .meta({ description: 'Resource indicators (RFC 8707).' }),
  audience: text(2_048).meta({
    description: 'A parameter some servers want beside or instead of `resource`.',
  }),
  assertion_audience: text(2_048).meta({
    description:
      "The `aud` of our assertion, required with `private_key_jwt`: the token server's issuer identifier, or `token_endpoint` for the token URL.",
  }),
  max_token_ttl_seconds: z.number().int().min(1).max(86_400).meta({
    description:
      'How long a token is used at most; what is left of an hour otherwise, or of what its server says.',
  }),
};
const secrets = {
  client_secret: text(2_048).meta({
    description:
      'Required with `client_secret_*`, also again when `token_url` changes. Written, never read back.',
    writeOnly: true,
  }),
  private_key: PrivateKey,
};

function isResource(uri: string): boolean {
  return URL.canParse(uri) && !uri.includes('#');
}

export const OAuthInput = z
  .strictObject({
    token_url: settings.token_url,
    client_id: settings.client_id,
    method: settings.method.default('client_secret_basic'),
    client_secret: secrets.client_secret.optional(),
    private_key: secrets.private_key.nullable().optional(),
    alg: settings.alg.nullable().default(null),
    scope: settings.scope.nullable().default(null),
    resource: settings.resource.default([]),
    audience: settings.audience.nullable().default(null),
    assertion_audience: settings.assertion_audience.nullable().default(null),
    max_token_ttl_seconds: settings.max_token_ttl_seconds.nullable().default(null),
  })
  .superRefine((input, context) => {
    const refuse = (field: keyof typeof input, rule: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message, params: { rule } });
    if (input.method === 'private_key_jwt') {
      if (input.client_secret !== undefined)
        refuse('client_secret', 'not_allowed', 'is not used by private_key_jwt');
      if (input.assertion_audience === null) {
        refuse('assertion_audience', 'required', 'is required: the issuer identifier, or token_endpoint');
      }
      return;
    }
    for (const field of ['private_key', 'alg', 'assertion_audience'] as const) {
      if ((input[field] ?? null) !== null) refuse(field, 'not_allowed', 'is used by private_key_jwt only');
    }
  })
  .meta({
    id: 'OAuthInput',
    description:
      'OAuth 2.0 client credentials: each delivery carries `Authorization: Bearer` with a token fetched from `token_url`.',
  });
export type OAuthInput = z.infer<typeof OAuthInput>;

/** A merge patch of the above; what is left out stays, secrets too. */
export const OAuthPatch = z
  .strictObject({
    token_url: settings.token_url.optional(),
    client_id: settings.client_id.optional(),
    method: settings.method.nullable().optional(),
    client_secret: secrets.client_secret.nullable().optional(),
    private_key: secrets.private_key.nullable().optional(),
    alg: settings.alg.nullable().optional(),
    scope: settings.scope.nullable().optional(),
    resource: settings.resource.nullable().optional(),
    audience: settings.audience.nullable().optional(),
    assertion_audience: settings.assertion_audience.nullable().optional(),
    max_token_ttl_seconds: settings.max_token_ttl_seconds.nullable().optional(),
  })
  .meta({ id: 'OAuthPatch' });

export const OAuthView = z
  .object({
    token_url: z.string(),
    client_id: z.string(),
    method: Method,
    alg: AssertionAlgorithm.nullable(),
    kid: z.string().nullable(),
    jwks_url: z.string().nullable().meta({
      description: 'Where the token server finds our public key, relative to this API. Needs no API key.',
    }),
    scope: z.string().nullable(),
    resource: z.array(z.string()),
    audience: z.string().nullable(),
    assertion_audience: z.string().nullable(),
    max_token_ttl_seconds: z.number().int().nullable(),
  })
  .meta({ id: 'OAuth', description: 'Without the secrets.' });
export type OAuthView = z.infer<typeof OAuthView>;

export const ClientCertificateInput = z
  .strictObject({
    certificate: z
      .string()
      .min(1)
      .max(4 * PEM_CHARS)
      .meta({ description: 'PEM: the certificate, then those that lead to its authority.' }),
    private_key: z
      .string()
      .min(1)
      .max(PEM_CHARS)
      .optional()
      .meta({ description: 'PEM, not encrypted; required. Written, never read back.', writeOnly: true }),
  })
  .meta({ id: 'ClientCertificateInput', description: 'The certificate shown to the receiver (mutual TLS).' });
export type ClientCertificateInput = z.infer<typeof ClientCertificateInput>;

export const ClientCertificateView = z
  .object({
    certificate: z.string(),
    subject: z.string(),
    expires_at: z.string(),
  })
  .meta({ id: 'ClientCertificate' });
export type ClientCertificateView = z.infer<typeof ClientCertificateView>;
