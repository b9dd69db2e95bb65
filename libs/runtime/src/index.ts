export { isDatabaseAway } from './database-away.js';
export {
  CommonConfig,
  ConfigError,
  commonConfig,
  describeConfig,
  egressAllow,
  egressDeny,
  egressProxy,
  keks,
  port,
  readConfig,
} from './config.js';
export { GrpcRefusal, serveGrpc, type GrpcService } from './grpc-server.js';
export { createLogger, type Logger } from './logger.js';
export { migrate, type Migrations } from './migrations.js';
export { Health, type OpsRoute, startOpsServer } from './ops-server.js';
export { createPool, inTransaction, type PoolOptions } from './postgres-pool.js';
export { Problem, problemBody, problems, type FieldError, type ProblemCode } from './problem-details.js';
export { runService, type RunningService, type ServiceContext } from './service.js';
export {
  startSpan,
  startTelemetry,
  traceparentOf,
  type Telemetry,
  type TelemetryOptions,
} from './telemetry.js';
