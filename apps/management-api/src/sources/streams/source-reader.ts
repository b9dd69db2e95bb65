import { publishLimits, type SourceState } from '@posthaste/contracts';
import type { GuardedClient, GuardedStream, StreamRead } from '@posthaste/egress';
import type { Logger } from '@posthaste/runtime';
import type { Vault } from '@posthaste/vault';
import type pg from 'pg';
import type { PublishRequest } from '../../publish/publish-request.js';
import { openHeaders } from '../source-headers.js';
import { retryDelayMs } from './backoff.js';
import type { EventPublisher } from './event-publisher.js';
import { InitialSync, type SyncError } from './initial-sync.js';
import { rememberConnections, saveProgress, saveState, saveSynced, type TakenSource } from './stream-rows.js';
import { toRequest } from './to-request.js';
import { type UpstreamEvent, UpstreamEvents } from './upstream-events.js';

/**
 * Reads one source for as long as its process holds the lease.
 *
 *   connecting --(headers of an event stream)--> open
 *   connecting, open --(it failed, or ended)--> waiting --(1 s, doubling to 60 s)--> connecting
 *   any --(closed from outside, or the lease is lost)--> over
 *
 * Bytes are read, their events published, the position noted, and only then more bytes are read: nothing queues here,
 * and a source that is faster than the log is slowed down. A failure of the publish itself is waited out with the events
 * in hand, because an event without an id could not be asked for again. Only an event, or having lasted, makes the next
 * wait short again.
 *
 * Whom an account knows already (`initial-sync.ts`) is taken note of between two reads, when nothing is in hand.
 */
export interface ReaderParts {
  owner: string;
  pool: pg.Pool;
  client: GuardedClient;
  vault: Vault;
  publisher: EventPublisher;
  logger: Logger;
  random: () => number;
}

const HEADERS_TIMEOUT_MS = 15_000;
/** Streams say something every now and then; one that is silent for this long may be dead without knowing. */
const IDLE_MS = 300_000;
/** A stream that lasted was none that failed, even if nothing happened meanwhile. */
const LASTING_MS = 60_000;
const ACCEPTED = 'text/event-stream';

interface Failed {
  class: string;
  message: string;
}
type Over = 'over';

export class SourceReader {
  readonly ended: Promise<void>;
  private readonly closing = new AbortController();
  private lastEventId: string | null;
  private readonly sync: InitialSync | undefined;
  private syncError: SyncError | null = null;
  private headers: Record<string, string> = {};
  private openSince = '';
  private isOpen = false;
  private failures = 0;
  private retryMs: number | undefined;

  constructor(
    readonly source: TakenSource,
    private readonly parts: ReaderParts,
    /** Before the first connection. */
    delayMs: number,
  ) {
    this.lastEventId = source.lastEventId;
    this.sync = this.newSync();
    this.ended = this.run(delayMs).catch((error: unknown) =>
      parts.logger.error({ err: error, account: source.account }, 'source.reader_died'),
    );
  }

  close(): void {
    this.closing.abort();
    this.sync?.close();
  }

  /** Somebody wants invitations, and it is not known yet whom the account knows. */
  wantSync(): void {
    void this.sync?.begin();
  }

  private async run(delayMs: number): Promise<void> {
    await this.waitFor(delayMs);
    while (!this.closing.signal.aborted) {
      const failed = await this.readOnce().catch(broken);
      if (failed === 'over') break;
      this.failures++;
      await this.wait(failed);
    }
    this.sync?.close();
  }

  /** One connection from its beginning to its end. */
  private async readOnce(): Promise<Failed | Over> {
    const { client } = this.parts;
    // Whoever takes a source writes that down.
    if (this.failures > 0) await this.tell({ status: 'connecting' });
    const unreadable = this.openHeaders();
    if (unreadable) return unreadable;
    if (this.source.wantsSync) await this.beginSync();
    const opened = await client.open({
      url: this.source.url,
      headers: {
        ...this.headers,
        accept: ACCEPTED,
        'cache-control': 'no-store',
        // Header bytes are Latin-1; an id in them is UTF-8.
        ...(this.lastEventId === null
          ? {}
          : { 'last-event-id': Buffer.from(this.lastEventId).toString('latin1') }),
      },
      headersTimeoutMs: HEADERS_TIMEOUT_MS,
      idleMs: IDLE_MS,
      signal: this.closing.signal,
    });
    if (opened.kind === 'closed') return 'over';
    if (opened.kind === 'ended') return { class: 'ended', message: 'It ended before it began' };
    if (opened.kind === 'failed') return opened;
    const openedAt = performance.now();
    try {
      return refusalOf(opened.stream) ?? (await this.follow(opened.stream));
    } finally {
      this.isOpen = false;
      opened.stream.close();
      if (performance.now() - openedAt >= LASTING_MS) this.failures = 0;
    }
  }

  private openHeaders(): Failed | undefined {
    const { source, parts } = this;
    try {
      this.headers = openHeaders(parts.vault, source.dataKeys, source, source.headers);
      return undefined;
    } catch (error) {
      parts.logger.error({ err: error, account: source.account }, 'source.headers_unreadable');
      return { class: 'headers_unreadable', message: 'Its headers cannot be opened; set them again' };
    }
  }

  private async follow(stream: GuardedStream): Promise<Failed | Over> {
    this.openSince = new Date().toISOString();
    this.isOpen = true;
    await this.tellOpen();
    const cutter = new UpstreamEvents();
    for (;;) {
      const read = await this.nextOf(stream);
      if (read.kind === 'closed') return 'over';
      if (read.kind === 'failed') return read;
      if (read.kind === 'ended') return { class: 'ended', message: 'The source ended the stream' };
      const { events, lastId, isTooLarge } = cutter.read(read.bytes);
      this.retryMs = cutter.retryMs ?? this.retryMs;
      const failed = await this.take(events, lastId);
      if (failed) return failed;
      if (isTooLarge) return tooLarge();
    }
  }

  /** The next bytes; meanwhile, with nothing in hand, whom the account knows is taken note of. */
  private async nextOf(stream: GuardedStream): Promise<StreamRead> {
    const reading = stream.read();
    while (this.sync) {
      const read = await this.sync.orListed(reading);
      if (read) return read;
      await this.takeList(this.sync);
    }
    return reading;
  }

  /** Publishes events and notes the position behind them. */
  private async take(
    events: UpstreamEvent[],
    lastId: string | undefined,
  ): Promise<Failed | Over | undefined> {
    const requests: PublishRequest[] = [];
    let taken = 0;
    for (const event of events) {
      const request = toRequest(event, this.source.stream);
      if (request && request.payload.length > publishLimits.payloadBytes) break;
      if (request) requests.push(request);
      taken++;
    }
    const isWhole = taken === events.length;
    const upTo = isWhole ? lastId : events.slice(0, taken).findLast(({ id }) => id !== undefined)?.id;
    const published = await this.publish(requests);
    if (published === 'over') return 'over';
    if (taken > 0) this.failures = 0;
    if (taken > 0 || upTo !== undefined) {
      this.lastEventId = upTo ?? this.lastEventId;
      const progress = {
        lastEventId: this.lastEventId,
        events: taken,
        dropped: taken - requests.length + published.dropped,
      };
      const isOurs = await saveProgress(this.parts.pool, this.parts.owner, this.source, progress);
      if (!isOurs) return 'over';
    }
    return isWhole ? undefined : tooLarge();
  }

  /** Until it is done; while the log or the database is away, the source is not read. */
  private async publish(requests: readonly PublishRequest[]): Promise<{ dropped: number } | Over> {
    const { publisher, logger } = this.parts;
    for (let failures = 1; requests.length > 0; failures++) {
      if (this.closing.signal.aborted) return 'over';
      const published = await publisher.publish(this.source, requests).catch((error: unknown) => {
        logger.warn({ err: error, account: this.source.account }, 'source.publish_failed');
        return undefined;
      });
      if (published?.kind === 'published') {
        if (failures > 1) await this.tellOpen();
        return published;
      }
      if (published?.kind === 'lost') return 'over';
      const { code, detail: message = 'The database does not answer' } = published?.problem ?? {};
      // What the one before us left in the middle has just been freed.
      const attempt = code === 'idempotency_in_progress' ? 1 : failures;
      await this.pause(attempt, { class: 'publish_failed', message }, undefined);
    }
    return { dropped: 0 };
  }

  private newSync(): InitialSync | undefined {
    const { client, random } = this.parts;
    const { syncUrl: url } = this.source;
    if (url === null) return undefined;
    const onTried = (error: SyncError | null): void => {
      this.syncError = error;
      if (this.isOpen) void this.tellOpen();
    };
    return new InitialSync({ client, url, headers: () => this.headers, random, onTried });
  }

  /**
   * Of a source nothing was read of yet, the list comes first: what it then says again of old connections is old. It is
   * waited for once, and not for ever. Of any other an event may be under way that the list knows too, and that nobody
   * was told of: there it is taken between two reads.
   */
  private async beginSync(): Promise<void> {
    const begun = this.sync?.begin();
    if (!this.sync || this.lastEventId !== null) return;
    await Promise.race([begun, this.whenClosing()]);
    if (this.sync.names) await this.takeList(this.sync);
  }

  private async takeList(sync: InitialSync): Promise<void> {
    const { pool, owner, logger } = this.parts;
    const { names } = sync;
    if (names === undefined) return;
    try {
      await rememberConnections(pool, this.source.account, names);
      await saveSynced(pool, owner, this.source);
      sync.done();
    } catch (error) {
      logger.warn({ err: error, account: this.source.account }, 'source.sync_not_saved');
      sync.again('The database does not answer');
    }
  }

  private async wait(failed: Failed): Promise<void> {
    const { account } = this.source;
    this.parts.logger.info({ account, class: failed.class, attempt: this.failures }, 'source.waiting');
    await this.pause(this.failures, failed, this.retryMs);
  }

  private async pause(attempt: number, error: Failed, retryMs: number | undefined): Promise<void> {
    const delayMs = retryDelayMs(attempt, retryMs, this.parts.random());
    const retry_at = new Date(Date.now() + delayMs).toISOString();
    await this.tell({
      status: 'waiting',
      attempt,
      retry_at,
      error: { class: error.class, message: error.message },
    });
    await this.waitFor(delayMs);
  }

  private async waitFor(delayMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => (timer = setTimeout(resolve, delayMs)));
    await Promise.race([waited, this.whenClosing()]);
    clearTimeout(timer);
  }

  private whenClosing(): Promise<void> {
    const { signal } = this.closing;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }

  private tellOpen(): Promise<void> {
    const failed = this.syncError === null ? {} : { sync_error: this.syncError };
    return this.tell({ status: 'open', since: this.openSince, ...failed });
  }

  /** What a person reads; nothing depends on it. */
  private async tell(state: SourceState): Promise<void> {
    const { pool, owner, logger } = this.parts;
    const { account } = this.source;
    await saveState(pool, owner, account, state).catch((error: unknown) =>
      logger.warn({ err: error, account }, 'source.state_not_saved'),
    );
  }
}

function refusalOf({ status, headers }: GuardedStream): Failed | undefined {
  if (status >= 300 && status < 400) {
    return { class: 'http_redirect', message: `It answered ${status}; redirects are not followed` };
  }
  if (status !== 200) return { class: 'http_status', message: `It answered ${status}` };
  const isEvents = String(headers['content-type'] ?? '')
    .toLowerCase()
    .startsWith(ACCEPTED);
  if (isEvents && headers['content-encoding'] === undefined) return undefined;
  return { class: 'not_an_event_stream', message: `It is not plain ${ACCEPTED}` };
}

function tooLarge(): Failed {
  const message = `An event is larger than ${publishLimits.payloadBytes} bytes`;
  return { class: 'event_too_large', message };
}

function broken(error: unknown): Failed {
  return { class: 'internal', message: error instanceof Error ? error.name : 'failed' };
}
