import { Resolver } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { addressProblem, type EgressPolicy } from './address-rules.js';
import { EgressError } from './failure.js';

/** All addresses of a name, in the order to try them. Rejects when it has none. */
export type Lookup = (name: string) => Promise<string[]>;

export interface ConnectOptions {
  policy: EgressPolicy;
  lookup?: Lookup | undefined;
  /** Certificates (PEM) trusted instead of the public ones. */
  ca?: string | undefined;
  connectTimeoutMs: number;
}

/** More addresses than this are not tried; every one of them is still checked. */
const MAX_ADDRESSES = 8;

/**
 * A connector that reaches only addresses the policy allows. A literal host is checked here, since Node looks up names
 * only; of a name, one forbidden address refuses all (a public and a private record together are an attack or a
 * mistake); the connection goes to the addresses that were checked, and the one reached is checked once more.
 */
export function guardedConnector(options: ConnectOptions): buildConnector.connector {
  const { policy, lookup = dnsLookup(), ca, connectTimeoutMs } = options;
  const connect = buildConnector({
    allowH2: false,
    timeout: connectTimeoutMs,
    minVersion: 'TLSv1.2',
    autoSelectFamily: true,
    lookup: guardedLookup(policy, lookup),
    ...(ca === undefined ? {} : { ca }),
  });
  return (target, callback) => {
    const literal = isIP(target.hostname) !== 0 ? addressProblem(target.hostname, policy) : null;
    if (literal !== null) {
      callback(new EgressError('blocked_address', 'literal'), null);
      return;
    }
    connect(target, (error, socket) => {
      if (error) {
        callback(error, null);
        return;
      }
      if (addressProblem(socket.remoteAddress ?? '', policy) !== null) {
        socket.on('error', () => undefined).destroy();
        callback(new EgressError('blocked_address', 'connected'), null);
        return;
      }
      callback(null, socket);
    });
  };
}

function guardedLookup(policy: EgressPolicy, lookup: Lookup): LookupFunction {
  return (name, _options, callback) => {
    const fail = (error: EgressError) => callback(error, []);
    lookup(name).then(
      (addresses) => {
        if (addresses.length === 0) fail(new EgressError('dns', 'ENOTFOUND'));
        else if (addresses.some((address) => addressProblem(address, policy) !== null)) {
          fail(new EgressError('blocked_address', 'resolved'));
        } else {
          const usable = addresses.slice(0, MAX_ADDRESSES);
          callback(
            null,
            usable.map((address) => ({ address, family: isIP(address) })),
          );
        }
      },
      (error: unknown) => fail(new EgressError('dns', dnsCode(error))),
    );
  };
}

/**
 * Asks the name servers itself: `getaddrinfo` blocks a thread of the process's four, so that a few names whose servers
 * do not answer would stall everybody's look-ups. The price is that /etc/hosts is not read.
 *
 * @param servers `address:port` of the name servers to ask; the system's when not given
 */
export function dnsLookup(servers?: string[]): Lookup {
  const resolver = new Resolver({ timeout: 1_500, tries: 2 });
  if (servers) resolver.setServers(servers);
  return async (name) => {
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const found = [v4, v6].flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length === 0 && v4.status === 'rejected') throw v4.reason;
    return found;
  };
}

function dnsCode(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : 'EUNKNOWN';
}
