import type { Server } from 'node:http';
import { Problem } from '@posthaste/runtime';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/**
 * Server-sent events (WHATWG HTML, section 9.2): an answer that goes on until the client leaves, `end` is called or the
 * server stops. Nothing is kept for a client beyond what its socket takes: `send` says when it has had enough.
 */
export interface EventStream {
  /**
   * Writes one frame made by `eventFrame`. Undefined, or when the client can take more; it is the sender's business to
   * wait. Also settles when the client leaves, after which frames go nowhere.
   */
  send(frame: Buffer): Promise<void> | undefined;
  /** Ends the answer with a comment; an EventSource comes again. */
  end(comment: string): void;
  /** Called once, whoever ended it. */
  onClosed(callback: () => void): void;
}

export interface EventFrame {
  event: string;
  data: string | Buffer;
  /** What an EventSource sends as `Last-Event-ID` when it comes again. */
  id?: string | number;
}

export interface EventStreamOptions {
  /** How long an EventSource is to wait before it comes again; absent: as it likes. */
  retryMs?: number;
  /** Proxies end what is silent for long. */
  keepAliveMs?: number;
  /** Written at once, with the headers. */
  first?: EventFrame;
}

const KEEP_ALIVE_MS = 15_000;
const KEEP_ALIVE = Buffer.from(': keepalive\n\n');
/** A client that does not read must not hold up an end. */
const END_WITHIN_MS = 1_000;

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // Tells nginx not to collect events before it passes them on.
  'x-accel-buffering': 'no',
  // Whatever comes after the end of a stream comes on a connection of its own.
  connection: 'close',
};

/** Of one tenant, in one process: each holds a socket and some 100 KB, and a key could open them all. */
const MOST_OF_A_TENANT = 2_000;
const COME_AGAIN_SECONDS = 10;

/** The open streams of a server that is not stopping, and whose they are. */
interface OpenStreams {
  whose: Map<EventStream, string>;
  mostOfATenant: number;
}
const streamsOf = new WeakMap<Server, OpenStreams>();

/** Ends the server's streams when it begins to stop, which would wait for them. */
export function serveEventStreams(fastify: FastifyInstance, mostOfATenant = MOST_OF_A_TENANT): void {
  const whose: OpenStreams['whose'] = new Map();
  streamsOf.set(fastify.server, { whose, mostOfATenant });
  fastify.addHook('preClose', async () => {
    streamsOf.delete(fastify.server);
    for (const stream of whose.keys()) stream.end('stopping');
  });
}

/** Throws `too_many_requests` when the tenant has as many as it may have. */
export function startEventStream(
  reply: FastifyReply,
  { retryMs, keepAliveMs = KEEP_ALIVE_MS, first }: EventStreamOptions = {},
): EventStream {
  const { raw } = reply;
  const streams = streamsOf.get(reply.server.server);
  const tenant = tenantOf(reply.request);
  if (streams) refuseTooMany(streams, tenant);
  reply.hijack();
  raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), ...HEADERS });
  raw.flushHeaders();

  let room: Promise<void> | undefined;
  const write = (bytes: Buffer | string): Promise<void> | undefined => {
    if (raw.writableEnded || raw.destroyed) return undefined;
    if (!raw.write(bytes)) {
      room ??= new Promise<void>((resolve) => {
        const go = (): void => {
          raw.off('drain', go).off('close', go);
          room = undefined;
          resolve();
        };
        raw.on('drain', go).on('close', go);
      });
    }
    return room;
  };
  const keepAlive = setInterval(() => {
    if (room === undefined) void write(KEEP_ALIVE);
  }, keepAliveMs);
  const stream: EventStream = {
    send: write,
    end: (comment) => {
      if (raw.writableEnded || raw.destroyed) return;
      raw.end(`: ${comment}\n\n`);
      const limit = setTimeout(() => raw.destroy(), END_WITHIN_MS);
      raw.once('close', () => clearTimeout(limit));
    },
    onClosed: (callback) => {
      // It may have left before it was answered.
      if (raw.destroyed) queueMicrotask(callback);
      else raw.once('close', callback);
    },
  };
  streams?.whose.set(stream, tenant);
  stream.onClosed(() => {
    clearInterval(keepAlive);
    streams?.whose.delete(stream);
  });
  // A client that goes away in the middle of a write is no news.
  raw.on('error', () => undefined);

  if (retryMs !== undefined) void write(`retry: ${retryMs}\n\n`);
  if (first) void write(eventFrame(first));
  if (reply.request.method === 'HEAD' || streams === undefined) stream.end('nothing follows');
  return stream;
}

function tenantOf({ principal }: FastifyRequest): string {
  return principal && principal.kind !== 'operator' ? principal.tenant : '';
}

function refuseTooMany({ whose, mostOfATenant }: OpenStreams, tenant: string): void {
  let held = 0;
  for (const each of whose.values()) if (each === tenant) held++;
  if (held < mostOfATenant) return;
  const detail = `There are ${held} streams open already, which is as many as there may be.`;
  throw new Problem('too_many_requests', detail, [], COME_AGAIN_SECONDS);
}

/** The frame's bytes; several streams may be sent the same. */
export function eventFrame({ event, data, id }: EventFrame): Buffer {
  const head = `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\n`;
  const bytes = Buffer.from(data);
  if (!bytes.includes(0x0a) && !bytes.includes(0x0d)) {
    return Buffer.concat([Buffer.from(`${head}data: `), bytes, Buffer.from('\n\n')]);
  }
  const lines = bytes.toString().split(/\r\n|\r|\n/);
  return Buffer.from(`${head}${lines.map((line) => `data: ${line}\n`).join('')}\n`);
}

/** Makes each item's frame once, for all the streams it is sent to. */
export function madeOnce<T extends object>(make: (item: T) => Buffer): (item: T) => Buffer {
  const frames = new WeakMap<T, Buffer>();
  return (item) => {
    let frame = frames.get(item);
    if (!frame) {
      frame = make(item);
      frames.set(item, frame);
    }
    return frame;
  };
}
