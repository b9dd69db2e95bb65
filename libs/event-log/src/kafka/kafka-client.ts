import net from 'node:net';
import tls from 'node:tls';
import { Kafka, type KafkaConfig, type LogEntry, logLevel } from 'kafkajs';
import type { EventLogHooks } from '../port.js';
import { quietRequestQueues } from './quiet-request-queue.js';

/**
 * How kafkajs is set up here. The numbers were measured on a real broker with leaders killed under load; each says
 * what goes wrong without it.
 */
export interface KafkaTuning {
  /** An append not acknowledged by then is rejected with log_unavailable. */
  ackTimeoutMs: number;
  /** Records waiting for their acknowledgement; more is refused with log_queue_full. */
  maxQueuedBytes: number;
  batchRecords: number;
  batchBytes: number;
  /**
   * How long a record may wait for company while another request is under way, per record of the batch before. With no
   * request under way it never waits.
   */
  lingerMs: number;
  maxLingerMs: number;
  /** Requests at a time; of one partition there is never more than one. */
  sendsInFlight: number;
  /**
   * How long the broker holds a fetch that finds nothing. A record that arrives answers the fetch at once, so this
   * costs no latency, but it is how long a resumed or newly assigned partition may wait for the next fetch.
   */
  maxWaitMs: number;
  fetchBytes: number;
  fetchBytesPerPartition: number;
  /** A member that died without leaving blocks its whole group for this long. */
  sessionTimeoutMs: number;
  heartbeatMs: number;
  /** A call to kafkajs that takes longer is given up together with its client; less than ackTimeoutMs. */
  callTimeoutMs: number;
  /** Owned, behind, and nothing fetched for this long: onFatal. */
  stallTimeoutMs: number;
  /** Crashes of the fetch loop in a row, without a join between them, before onFatal. */
  maxRestarts: number;
}

export const defaultTuning: KafkaTuning = {
  ackTimeoutMs: 10_000,
  maxQueuedBytes: 64 * 1024 * 1024,
  batchRecords: 500,
  batchBytes: 512 * 1024,
  lingerMs: 1,
  maxLingerMs: 5,
  sendsInFlight: 4,
  maxWaitMs: 200,
  fetchBytes: 4 * 1024 * 1024,
  fetchBytesPerPartition: 256 * 1024,
  sessionTimeoutMs: 10_000,
  heartbeatMs: 1_000,
  callTimeoutMs: 9_000,
  stallTimeoutMs: 60_000,
  maxRestarts: 10,
};

export interface KafkaConnection {
  /** host:port of some brokers; the rest is learned from them. */
  brokers: string[];
  clientId: string;
  security?: Pick<KafkaConfig, 'ssl' | 'sasl'> | undefined;
  hooks: EventLogHooks;
}

/** About a minute. Members of groups never gave up with it while a leader was away for twelve seconds. */
const MEMBER_RETRIES = 30;
/** For calls that we make again ourselves: kafkajs retries within retries, and these multiply. */
export const CALL_RETRIES = 3;

quietRequestQueues();

/**
 * One client per producer and consumer: clients of kafkajs share a cache of committed offsets among their consumers,
 * which breaks two members of one group in one process.
 */
export function createKafkaClient(connection: KafkaConnection, retries = MEMBER_RETRIES): Kafka {
  return new Kafka({
    ...connection.security,
    brokers: connection.brokers,
    clientId: connection.clientId,
    connectionTimeout: 5_000,
    // Above the 5 s a broker waits for its replicas, and low enough to leave an append time for a second try: a request
    // written while kafkajs mixes up an old and a new socket of one connection is never answered.
    requestTimeout: 7_000,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries },
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => reportLogEntry(entry, connection.hooks),
    socketFactory: ({ host, port, ssl, onConnect }) => {
      const secure = ssl as tls.ConnectionOptions | undefined;
      const socket = secure
        ? tls.connect({ host, port, ...(net.isIP(host) ? {} : { servername: host }), ...secure }, onConnect)
        : net.connect({ host, port }, onConnect);
      // Without it a second small request waits until the peer has acknowledged the first.
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 60_000);
      // kafkajs adds a listener for each request that waits for the connection of a broker that is away.
      socket.setMaxListeners(100);
      return socket;
    },
  });
}

function reportLogEntry(entry: LogEntry, hooks: EventLogHooks): void {
  const { message, timestamp, ...details } = entry.log;
  hooks.onWarning?.(`kafkajs: ${message}`, { namespace: entry.namespace, loggedAt: timestamp, ...details });
}

/** The protocol's names of an error and of all that caused it, such as ILLEGAL_GENERATION. */
export function errorTypes(error: unknown): string[] {
  const types: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('type' in at && typeof at.type === 'string') types.push(at.type);
  }
  return types;
}
