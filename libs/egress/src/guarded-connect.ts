import { isIP, connect as connectTcp, type Socket } from 'node:net';
import type { buildConnector } from 'undici';
import { addressProblem, type EgressPolicy } from './address-rules.js';
import { type ConnectionFacts, overdue } from './connection-facts.js';
import { dnsCode, dnsLookup, type Lookup } from './dns-lookup.js';
import { type EgressProxy, tunnelThrough } from './egress-proxy.js';
import { EgressError } from './failure.js';
import { type ClientCertificate, tlsUpgrade } from './tls-upgrade.js';

export interface ConnectOptions {
  policy: EgressPolicy;
  lookup?: Lookup | undefined;
  /** Certificates (PEM) trusted instead of the public ones. */
  ca?: string | undefined;
  /** Shown to every server this connector reaches. */
  certificate?: ClientCertificate | undefined;
  proxy?: EgressProxy | undefined;
  /** For look-up, connection, tunnel and handshake together. */
  connectTimeoutMs: number;
}

/** undici's connector, which also tells what it finds out, as it does. */
export type GuardedConnector = (
  target: buildConnector.Options,
  facts: ConnectionFacts,
  callback: buildConnector.Callback,
) => void;

/** More addresses than this are not tried; every one of them is still checked. */
const MAX_ADDRESSES = 8;
const TCP_KEEP_ALIVE_MS = 60_000;

/**
 * A connector that reaches only addresses the policy allows. A literal host is checked here, since Node looks up names
 * only; of a name, one forbidden address refuses all (a public and a private record together are an attack or a
 * mistake); the connection goes to the addresses that were checked, and the one reached is checked once more.
 *
 *   resolving -> connecting | tunnelling -> securing (https) -> open
 *
 * With a proxy the look-up and its check stay ours: the proxy is asked for the address, never for the name.
 */
export function guardedConnector(options: ConnectOptions): GuardedConnector {
  const { policy, lookup = dnsLookup(), proxy, connectTimeoutMs } = options;
  const secure = tlsUpgrade(options);

  const establish = async (
    { hostname, protocol, port }: buildConnector.Options,
    facts: ConnectionFacts,
    signal: AbortSignal,
  ): Promise<Socket> => {
    const addresses = await allowedAddresses(hostname, policy, lookup, signal);
    facts.dnsMs = isIP(hostname) === 0 ? performance.now() - facts.startedAt : undefined;
    const toPort = Number(port || (protocol === 'https:' ? 443 : 80));
    facts.phase = proxy ? 'tunnelling' : 'connecting';
    const { socket, address } = proxy
      ? await tunnelThrough(proxy, addresses, toPort, signal)
      : await reach(hostname, addresses, toPort, policy, signal);
    facts.address = `${isIP(address) === 6 ? `[${address}]` : address}:${toPort}`;
    if (protocol !== 'https:') return socket;
    facts.phase = 'securing';
    const securingAt = performance.now();
    const secured = await secure(socket, hostname, toPort, signal);
    facts.tlsMs = performance.now() - securingAt;
    facts.tls = secured.tls;
    return secured.socket;
  };

  return (target, facts, callback) => {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(overdue(facts.phase, 'no answer')), connectTimeoutMs);
    establish(target, facts, deadline.signal)
      .finally(() => clearTimeout(timer))
      .then(
        (socket) => {
          facts.phase = 'open';
          facts.connectedAt = performance.now();
          callback(null, socket);
        },
        (error: unknown) => callback(error as Error, null),
      );
  };
}

/** The addresses to try, all of them checked; throws EgressError when there is none, or one that is forbidden. */
async function allowedAddresses(
  host: string,
  policy: EgressPolicy,
  lookup: Lookup,
  signal: AbortSignal,
): Promise<string[]> {
  if (isIP(host) !== 0) {
    if (addressProblem(host, policy) !== null) throw new EgressError('blocked_address', 'literal');
    return [host];
  }
  const addresses = await new Promise<string[]>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
    lookup(host).then(resolve, (error: unknown) => reject(new EgressError('dns', dnsCode(error))));
  });
  if (addresses.length === 0) throw new EgressError('dns', 'ENOTFOUND');
  if (addresses.some((address) => addressProblem(address, policy) !== null)) {
    throw new EgressError('blocked_address', 'resolved');
  }
  return addresses.slice(0, MAX_ADDRESSES);
}

/** One of the addresses, tried in turn; Node never looks the name up again. */
async function reach(
  host: string,
  addresses: string[],
  port: number,
  policy: EgressPolicy,
  signal: AbortSignal,
): Promise<{ socket: Socket; address: string }> {
  const checked = addresses.map((address) => ({ address, family: isIP(address) }));
  const socket = connectTcp({
    host,
    port,
    autoSelectFamily: true,
    lookup: (_name, _options, callback) => callback(null, checked),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
  });
  await new Promise<void>((resolve, reject) => {
    signal.addEventListener('abort', () => {
      socket.destroy();
      reject(signal.reason as Error);
    });
    socket.once('connect', resolve);
    // For as long as the socket lives: whoever takes it over listens a little later.
    socket.on('error', (error) => reject(gaveNoAnswer(error) ? overdue('connecting', 'ETIMEDOUT') : error));
  });
  const address = socket.remoteAddress ?? '';
  if (addressProblem(address, policy) === null) return { socket, address };
  socket.destroy();
  throw new EgressError('blocked_address', 'connected');
}

/** The kernel gave up on one of the addresses, which is no refusal. */
function gaveNoAnswer(error: Error & { code?: string; errors?: (Error & { code?: string })[] }): boolean {
  return error.code === 'ETIMEDOUT' || (error.errors ?? []).some(({ code }) => code === 'ETIMEDOUT');
}
