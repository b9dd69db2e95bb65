import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CollectedReport, CollectOrder } from './protocol.js';
import { quantilesOf } from './quantiles.js';
import { nowMs, readStamp } from './stamped-payload.js';
import { serveOrders } from './worker-process.js';

/** The customer's side: answers 200 at once and keeps of every message its first arrival and how often it came. */
let latencyMs = new Float64Array();
let arrivals = new Uint16Array();
let distinct = 0;
let received = 0;
let lastReceivedAtMs = 0;
let onProgress: () => void = () => undefined;

function reset(capacity: number): void {
  latencyMs = new Float64Array(capacity);
  arrivals = new Uint16Array(capacity);
  distinct = 0;
  received = 0;
}

function take(body: Buffer): void {
  const now = nowMs();
  const { seq, sentAtMs } = readStamp(body);
  received++;
  lastReceivedAtMs = now;
  const before = arrivals[seq];
  if (before === undefined) return;
  arrivals[seq] = before + 1;
  if (before === 0) {
    latencyMs[seq] = now - sentAtMs;
    distinct++;
  }
  onProgress();
}

const server = createServer(
  { keepAliveTimeout: 60_000 },
  (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      take(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
      response.writeHead(200, { 'content-length': 0 });
      response.end();
    });
  },
);

async function listen(): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function collect({ expected, patienceMs }: CollectOrder): Promise<CollectedReport> {
  await new Promise<void>((resolve) => {
    let seen = received;
    const impatience = setInterval(() => {
      if (seen === received) finish();
      seen = received;
    }, patienceMs);
    const finish = (): void => {
      clearInterval(impatience);
      onProgress = () => undefined;
      resolve();
    };
    onProgress = () => {
      if (distinct >= expected) finish();
    };
    onProgress();
  });
  const arrived = latencyMs.filter((_, seq) => (arrivals[seq] ?? 0) > 0);
  const missing = [...arrivals.keys()].filter((seq) => arrivals[seq] === 0);
  return {
    received,
    distinct,
    duplicates: received - distinct,
    missing,
    lastReceivedAtMs,
    endToEndMs: quantilesOf(arrived),
  };
}

serveOrders(async (order) => {
  switch (order.kind) {
    case 'listen':
      return listen();
    case 'reset':
      return reset(order.capacity);
    case 'collect':
      return collect(order.order);
    case 'generate':
      throw new Error('the receiver generates nothing');
  }
});
