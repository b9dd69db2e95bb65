import { Resolver } from 'node:dns/promises';

/** All addresses of a name, in the order to try them. Rejects when it has none. */
export type Lookup = (name: string) => Promise<string[]>;

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

export function dnsCode(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : 'EUNKNOWN';
}
