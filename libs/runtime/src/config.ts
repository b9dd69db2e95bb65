import { z } from 'zod';

/**
 * A service's configuration is one zod object whose keys are environment variables, each with a description. It is
 * read once, in the service's `config.ts`; nothing else looks at the environment.
 */
export const commonConfig = {
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .describe('PostgreSQL: postgres://user:password@host:port/database'),
  POSTHASTE_LOG: z.enum(['postgres', 'kafka']).default('postgres').describe('Where the log lives'),
  KAFKA_BROKERS: z
    .string()
    .optional()
    .describe('Kafka bootstrap servers, host:port[,host:port]; needed when POSTHASTE_LOG=kafka'),
  POSTHASTE_SCALE: z
    .enum(['single', 'production'])
    .default('production')
    .describe('Partition counts of the topics made at start: one machine or a cluster'),
  OPS_HOST: z.string().default('127.0.0.1').describe('Address of /healthz, /readyz and /metrics'),
  OPS_PORT: port().describe('Port of /healthz, /readyz and /metrics'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least level logged'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url()
    .optional()
    .describe('Where spans go (OTLP over HTTP); tracing is off without it'),
  POSTHASTE_SUPERVISED: z
    .enum(['0', '1'])
    .default('0')
    .describe('1: stop when standard input closes, so that a killed supervisor leaves nothing behind'),
};

export const CommonConfig = z.object(commonConfig);
export type CommonConfig = z.infer<typeof CommonConfig>;

/** A TCP port; 0 takes a free one. */
export function port() {
  return z.coerce.number().int().min(0).max(65_535);
}

/** The keys that wrap the tenants' own, for whoever seals or opens their secrets. */
export function keks() {
  return z
    .string()
    .regex(/^[^:,]+:[A-Za-z0-9+/=]+(,[^:,]+:[A-Za-z0-9+/=]+)*$/, 'is id:base64[,id:base64]')
    .describe('Key-encryption keys, id:base64 of 32 bytes[,...], the current one first');
}

/** What the rule at an endpoint's creation and the one at its use must agree on. */
export function egressAllow() {
  return z
    .string()
    .default('')
    .describe('Private address ranges endpoints may have, CIDR[,CIDR]; http is allowed there');
}

/** Of both, too: our own names and addresses, which are as public as any. */
export function egressDeny() {
  return z
    .string()
    .default('')
    .describe(
      'Hosts and address ranges endpoints may not have, name or CIDR[,...]; a name includes those below it',
    );
}

/** Of whoever connects to addresses strangers chose. */
export function egressProxy() {
  return z
    .string()
    .optional()
    .describe(
      'An HTTP proxy to CONNECT through, http://[user:password@]host:port; addresses are still checked here',
    );
}

export class ConfigError extends Error {
  constructor(readonly problems: string[]) {
    super(`configuration: ${problems.join('; ')}`);
    this.name = 'ConfigError';
  }
}

/** Reads a configuration, or throws ConfigError naming every variable that is wrong. Values are never repeated: some are secret. */
export function readConfig<S extends z.ZodObject>(
  schema: S,
  env: Record<string, string | undefined>,
): z.infer<S> {
  // An empty variable is an unset one: that is what compose files and shells make of a missing value.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const result = schema.safeParse(given);
  if (!result.success) {
    throw new ConfigError(result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`));
  }
  return result.data;
}

/** Every key with its default and meaning, for people. */
export function describeConfig(schema: z.ZodObject): { name: string; default: string; meaning: string }[] {
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([name, field]) => {
    const { success, data } = field.safeParse(undefined);
    const fallback = typeof data === 'string' ? data : (JSON.stringify(data) ?? '');
    return {
      name,
      default: success ? fallback : 'required',
      meaning: field.description ?? '',
    };
  });
}
