import path from 'node:path';
import { defaultPorts, type StackPorts } from '@posthaste/local-stack';
import { z } from 'zod';

const port = (fallback: number) => z.coerce.number().int().min(1).max(65_535).default(fallback);

/** What `npm start` reads from its environment. Everything has a default: the first start needs no setting. */
export const StandaloneConfig = z
  .object({
    POSTHASTE_DATA_DIR: z.string().default('.posthaste').describe('Where everything is kept'),
    POSTHASTE_PORT: port(defaultPorts.api).describe('Port of the REST API'),
    POSTHASTE_HISTORY_PORT: port(defaultPorts.history).describe("Port of audit-log's gRPC interface"),
    POSTHASTE_OPS_PORT: port(defaultPorts.ops).describe("First of the services' four ops ports"),
    POSTHASTE_SCHEDULE_PORT: port(defaultPorts.schedule).describe("Port of retry-scheduler's gRPC interface"),
    POSTHASTE_DISPATCH_PORT: port(defaultPorts.dispatch).describe("Port of the dispatcher's gRPC interface"),
    POSTHASTE_PLAY_PORT: port(defaultPorts.play).describe('Port of play, the test receiver'),
    POSTHASTE_POSTGRES_PORT: port(defaultPorts.postgres).describe('Port of the embedded PostgreSQL'),
    DATABASE_URL: z
      .url({ protocol: /^postgres(ql)?$/ })
      .optional()
      .describe('A PostgreSQL server to use instead of the embedded one'),
    POSTHASTE_LOG: z.enum(['postgres', 'kafka']).default('postgres').describe('Where the log lives'),
    KAFKA_BROKERS: z.string().optional().describe('Kafka bootstrap servers, for POSTHASTE_LOG=kafka'),
    POSTHASTE_EGRESS_ALLOW: z
      .string()
      .default('127.0.0.0/8')
      .describe('Networks endpoints may point at beside the public internet; production allows none'),
    POSTHASTE_EGRESS_DENY: z.string().optional().describe('Hosts and address ranges endpoints may not have'),
    POSTHASTE_EGRESS_PROXY: z
      .string()
      .optional()
      .describe('An HTTP proxy that receivers are reached through'),
    LOG_LEVEL: z.string().optional().describe("The services' least level logged"),
    OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional().describe('Where spans go; tracing is off without it'),
    POSTHASTE_SUPERVISED: z.enum(['0', '1']).default('0').describe('1: stop when standard input closes'),
  })
  .refine((config) => config.POSTHASTE_LOG !== 'kafka' || config.KAFKA_BROKERS !== undefined, {
    path: ['KAFKA_BROKERS'],
    message: 'is needed for POSTHASTE_LOG=kafka; `npm run start:kafka` brings a broker along',
  });
export type StandaloneConfig = z.infer<typeof StandaloneConfig>;

/** What the services read themselves. */
const passedOn = [
  'LOG_LEVEL',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'POSTHASTE_EGRESS_DENY',
  'POSTHASTE_EGRESS_PROXY',
] as const;

export interface StandaloneOptions {
  config: StandaloneConfig;
  dataDir: string;
  ports: StackPorts;
  brokers: string[];
  /** Bring a broker along. */
  startsKafka: boolean;
  /** Publish a message although the demo is seeded already. */
  publishes: boolean;
  /** For every service. */
  env: Record<string, string>;
}

/** The options, or one line for each thing wrong with them. */
export function standaloneOptions(
  args = process.argv.slice(2),
  env: Record<string, string | undefined> = process.env,
): StandaloneOptions | { problems: string[] } {
  const unknown = args.filter((arg) => arg !== '--kafka' && arg !== '--publish');
  const startsKafka = args.includes('--kafka');
  // An empty variable is an unset one; a broker of our own goes before one from the environment.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = StandaloneConfig.safeParse({
    ...given,
    ...(startsKafka ? { POSTHASTE_LOG: 'kafka', KAFKA_BROKERS: 'ours' } : {}),
  });
  const problems = unknown.map((arg) => `${arg} is not known; there are --kafka and --publish`);
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`));
    return { problems };
  }
  if (problems.length > 0) return { problems };
  const config = parsed.data;
  return {
    config,
    dataDir: path.resolve(config.POSTHASTE_DATA_DIR),
    ports: {
      api: config.POSTHASTE_PORT,
      history: config.POSTHASTE_HISTORY_PORT,
      ops: config.POSTHASTE_OPS_PORT,
      schedule: config.POSTHASTE_SCHEDULE_PORT,
      dispatch: config.POSTHASTE_DISPATCH_PORT,
      play: config.POSTHASTE_PLAY_PORT,
      postgres: config.POSTHASTE_POSTGRES_PORT,
    },
    brokers: startsKafka ? [] : (config.KAFKA_BROKERS ?? '').split(',').filter(Boolean),
    startsKafka,
    publishes: args.includes('--publish'),
    env: Object.fromEntries(
      passedOn.flatMap((name) => (config[name] === undefined ? [] : [[name, config[name]]])),
    ),
  };
}
