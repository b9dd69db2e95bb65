import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Telemetry } from './telemetry.js';

/**
 * Health and metrics, on a port of their own that faces operators only.
 *
 * `/healthz` says the event loop turns, and nothing else: a broker or database outage must not restart a fleet.
 * `/readyz` asks every registered check and answers 503 with the reasons until all pass.
 */
export class Health {
  private readonly checks = new Map<string, () => string | null>();

  /** @param check null when ready, else the reason in a few words. */
  addCheck(name: string, check: () => string | null): void {
    this.checks.set(name, check);
  }

  /** What is not ready yet, by check. */
  failures(): Record<string, string> {
    const failing = [...this.checks].map(([name, check]) => [name, check()] as const);
    return Object.fromEntries(
      failing.filter((entry): entry is readonly [string, string] => entry[1] !== null),
    );
  }
}

export async function startOpsServer(
  host: string,
  port: number,
  health: Health,
  telemetry: Telemetry,
): Promise<{ server: Server; port: number; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.url === '/metrics') {
      telemetry.scrape(request, response);
      return;
    }
    const failures = request.url === '/readyz' ? health.failures() : {};
    const known = request.url === '/healthz' || request.url === '/readyz';
    const ready = Object.keys(failures).length === 0;
    response.writeHead(known ? (ready ? 200 : 503) : 404, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(known ? { status: ready ? 'ok' : 'not ready', failures } : { status: 'not found' }),
    );
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return {
    server,
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
