import { LRUCache } from 'lru-cache';
import type { EgressPolicy } from './address-rules.js';
import type { EgressRequest, EgressResult } from './egress-result.js';
import { Exchange } from './exchange.js';
import { type Failure, failure, failureOf } from './failure.js';
import { dnsLookup, type Lookup } from './dns-lookup.js';
import type { EgressProxy } from './egress-proxy.js';
import { guardedConnector, type GuardedConnector } from './guarded-connect.js';
import { GuardedStream, type OpenedStream, type StreamRequest } from './guarded-stream.js';
import { Connection, OriginPool, type OriginPoolOptions } from './origin-pool.js';
import type { ClientCertificate } from './tls-upgrade.js';
import { checkUrl } from './url-rules.js';

/**
 * An HTTP client for addresses strangers chose. One instance has one egress policy and its own connections.
 *
 * Promised: only addresses the policy allows are reached; no redirect is followed and nothing is inflated; `timeoutMs`
 * covers waiting for a connection, DNS, TLS, sending, headers and body; at most 16 KB of headers and of body are kept;
 * whatever a receiver does, the outcome is a value and the process goes on. Once headers have arrived the status
 * decides: a body that does not end in 2 s is cut.
 *
 * Not promised: retries (a POST is never repeated here), cookies, HTTP/2, names from /etc/hosts.
 */
export interface GuardedClientOptions {
  policy: EgressPolicy;
  /** How names are resolved; by DNS when not given. */
  lookup?: Lookup;
  /** Certificates (PEM) trusted instead of the public ones. */
  ca?: string;
  /** Connections to one origin at the same time. */
  maxConnectionsPerOrigin?: number;
  /** Origins whose connections are kept; the least recently used are closed. */
  maxOrigins?: number;
  connectTimeoutMs?: number;
  /** Asked to connect to the addresses that were checked, if there is one. */
  proxy?: EgressProxy | undefined;
}

const MAX_HEADER_BYTES = 16 * 1024;
const MAX_TARGETS = 10_000;

/** A checked URL, ready to be called; or the reason why not. */
type Target = { ok: true; origin: string; path: string } | { ok: false; failure: Failure };

export class GuardedClient {
  private readonly pools: LRUCache<string, OriginPool>;
  // Parsing and checking a URL costs more than finding it again, and endpoints have few.
  private readonly targets = new LRUCache<string, Target>({ max: MAX_TARGETS });
  private readonly connectorFor: (certificate?: ClientCertificate) => GuardedConnector;
  private readonly connect: GuardedConnector;

  constructor(private readonly options: GuardedClientOptions) {
    const { policy, lookup = dnsLookup(), ca, proxy, connectTimeoutMs = 5_000 } = options;
    this.connectorFor = (certificate) =>
      guardedConnector({ policy, lookup, ca, proxy, connectTimeoutMs, certificate });
    this.connect = this.connectorFor();
    this.pools = new LRUCache({
      max: options.maxOrigins ?? 2_000,
      dispose: (pool) => pool.retire(),
    });
  }

  /** Never rejects. */
  send(request: EgressRequest): Promise<EgressResult> {
    try {
      const target = this.target(request.url);
      if (!target.ok) {
        return Promise.resolve({ kind: 'failed', ...target.failure, timings: { totalMs: 0 } });
      }
      return new Exchange(this.poolFor(target.origin, request.certificate), target.path, request).result;
    } catch (error) {
      return Promise.resolve({ kind: 'failed', ...failureOf(error), timings: { totalMs: 0 } });
    }
  }

  /** Opens a response that may last, past the same guards, on a connection that nothing else uses. Never rejects. */
  open(request: StreamRequest): Promise<OpenedStream> {
    try {
      const target = this.target(request.url);
      if (!target.ok) return Promise.resolve({ kind: 'failed', ...target.failure });
      const connection = new Connection(target.origin, this.connectionOptions(this.connect));
      return GuardedStream.open(connection, target.path, request);
    } catch (error) {
      return Promise.resolve({ kind: 'failed', ...failureOf(error) });
    }
  }

  /** Closes idle connections at once, those in use when their request ends. Streams go on until they are closed. */
  close(): void {
    this.pools.clear();
  }

  /** What a connection may do depends on who we said we are when it was made: certificates never share one. */
  private poolFor(origin: string, certificate: ClientCertificate | undefined): OriginPool {
    const key = certificate ? `${origin} ${certificate.id}` : origin;
    let pool = this.pools.get(key);
    if (pool === undefined) {
      const connect = certificate ? this.connectorFor(certificate) : this.connect;
      pool = new OriginPool(origin, this.connectionOptions(connect));
      this.pools.set(key, pool);
    }
    return pool;
  }

  private connectionOptions(connect: GuardedConnector): OriginPoolOptions {
    const maxConnections = this.options.maxConnectionsPerOrigin ?? 128;
    return { connect, maxConnections, maxHeaderBytes: MAX_HEADER_BYTES };
  }

  private target(url: string): Target {
    let target = this.targets.get(url);
    if (target === undefined) {
      const verdict = checkUrl(url, this.options.policy);
      if (verdict.ok) {
        const { origin, pathname, search } = new URL(verdict.href);
        target = { ok: true, origin, path: pathname + search };
      } else {
        const blocked = verdict.rule === 'private_address' || verdict.rule === 'denied_host';
        target = { ok: false, failure: failure(blocked ? 'blocked_address' : 'invalid_url', verdict.rule) };
      }
      this.targets.set(url, target);
    }
    return target;
  }
}
