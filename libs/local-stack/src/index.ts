export {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from './embedded-postgres.js';
export { startTemporaryPostgres, type TemporaryPostgres } from './temporary-postgres.js';
export { LocalStackError, type LocalStackErrorCode } from './errors.js';
export { freePorts } from './free-ports.js';
export { startKafka, type KafkaNode, type LocalKafka, type LocalKafkaOptions } from './kafka-broker.js';
export { kafkaAvailable } from './kafka-jars.js';
export { serviceEnvironment, serviceNodeFlags } from './node-flags.js';
export { type ProcessChange, type ProcessSpec, type SupervisedProcess } from './supervised-process.js';
export { startStack, type Stack, type StackOptions, type StackProcess } from './stack.js';
export { type Replicas, type StackLog } from './stack-processes.js';
export { defaultPorts, type StackPorts } from './stack-ports.js';
export { writePrivately } from './stack-secrets.js';
export { startTimeOf } from './leftovers.js';
