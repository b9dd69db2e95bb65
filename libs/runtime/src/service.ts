import type { z } from 'zod';
import { CommonConfig, ConfigError, describeConfig, readConfig } from './config.js';
import { createLogger, type Logger } from './logger.js';
import { Health, startOpsServer } from './ops-server.js';
import { startTelemetry, type Telemetry } from './telemetry.js';

/**
 * The life of a service's process.
 *
 *   starting -> running -> stopping -> ended
 *
 * starting: configuration read, telemetry and the ops port up (so an orchestrator can watch a slow start), then the
 * service itself. running: until SIGTERM, SIGINT, a closed standard input (only when supervised) or `fatal`. stopping: `stop()`
 * of the service within 22 s, then out; a second signal ends it at once. Exit code 0 after a signal, 1 after `fatal`,
 * an uncaught error or a bad configuration. Called with `--describe-config` it says what it reads and ends.
 */
export interface ServiceContext<C extends CommonConfig> {
  config: C;
  logger: Logger;
  health: Health;
  telemetry: Telemetry;
  /** The service cannot do its work any more: stop what can be stopped and end with code 1. */
  fatal(error: unknown): void;
}

export interface RunningService {
  stop(): Promise<void>;
}

/** Below the 25 s an orchestrator is promised, above the 20 s a drain may take. */
const STOP_LIMIT_MS = 22_000;

export async function runService<S extends z.ZodObject<typeof CommonConfig.shape>>(
  name: string,
  schema: S,
  env: Record<string, string | undefined>,
  start: (context: ServiceContext<z.infer<S> & CommonConfig>) => Promise<RunningService>,
): Promise<void> {
  if (process.argv.includes('--describe-config')) {
    // For `posthaste config`: nobody else knows what this build of the service reads.
    process.stdout.write(`${JSON.stringify(describeConfig(schema))}\n`);
    return;
  }
  const config = readConfigOrExit(name, schema, env) as z.infer<S> & CommonConfig;
  const { logger, flush } = createLogger(name, config.LOG_LEVEL);
  process.on('exit', flush);
  const telemetry = startTelemetry({ service: name, otlpEndpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT });
  const health = new Health();
  let phase: 'starting' | 'running' | 'stopping' = 'starting';
  let running: RunningService | undefined;
  health.addCheck('service', () => (phase === 'running' ? null : phase));

  const end = (code: number, reason: string): void => {
    if (phase === 'stopping') process.exit(code === 0 ? 130 : code);
    phase = 'stopping';
    logger.info({ reason }, 'service.stopping');
    const limit = setTimeout(() => {
      logger.error('service.stop_timed_out');
      process.exit(1);
    }, STOP_LIMIT_MS);
    limit.unref();
    void Promise.resolve(running?.stop())
      .catch((error: unknown) => logger.error({ err: error }, 'service.stop_failed'))
      .then(() => telemetry.stop())
      .finally(() => process.exit(code));
  };
  const fatal = (error: unknown): void => {
    logger.fatal({ err: error }, 'service.fatal');
    if (phase === 'stopping') return;
    end(1, 'fatal');
  };

  process.on('SIGTERM', () => end(0, 'SIGTERM'));
  process.on('SIGINT', () => end(0, 'SIGINT'));
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  if (config.POSTHASTE_SUPERVISED === '1') {
    process.stdin.on('close', () => end(0, 'supervisor gone')).on('error', () => undefined);
    process.stdin.resume();
  }
  try {
    const ops = await startOpsServer(config.OPS_HOST, config.OPS_PORT, health, telemetry);
    logger.info({ opsPort: ops.port, pid: process.pid }, 'service.starting');
    running = await start({ config, logger, health, telemetry, fatal });
    if (phase === 'starting') phase = 'running';
    logger.info('service.running');
  } catch (error) {
    fatal(error);
  }
}

function readConfigOrExit(
  name: string,
  schema: z.ZodObject,
  env: Record<string, string | undefined>,
): unknown {
  try {
    return readConfig(schema, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(
      `${name}: the configuration is not usable\n${error.problems.map((p) => `  ${p}\n`).join('')}`,
    );
    process.exit(1);
  }
}
