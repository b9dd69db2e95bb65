import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Telemetry } from './telemetry.js';

/** Answers GET, and what else it knows, with JSON; undefined to a method it does not know. */
export type OpsRoute = (method: string) => Promise<{ status: number; body: unknown } | undefined>;

/**
 * Health and metrics, on a port of their own that faces operators only.
 *
 * `/healthz` says the event loop turns, and nothing else: a broker or database outage must not restart a fleet.
 * `/readyz` asks every registered check and answers 503 with the reasons until all pass. What a service depends on is
 * probed only then: nobody who does not ask pays for it.
 */
export class Health {
  /** What else a service lets its operators ask and do on that port, by path. */
  readonly routes = new Map<string, OpsRoute>();
  private readonly checks = new Map<string, () => string | null>();
  private readonly probes: Probe[] = [];

  /** @param check null when ready, else the reason in a few words. */
  addCheck(name: string, check: () => string | null): void {
    this.checks.set(name, check);
  }

  /** @param ask fails, or does not answer, while what the service depends on is away. */
  addProbe(name: string, ask: () => Promise<unknown>): void {
    const probe = new Probe(ask);
    this.probes.push(probe);
    this.addCheck(name, () => probe.failure);
  }

  addRoute(path: string, route: OpsRoute): void {
    this.routes.set(path, route);
  }

  /** Asks what the service depends on. Takes no longer than a probe may. */
  async probe(): Promise<void> {
    await Promise.all(this.probes.map((probe) => probe.run()));
  }

  /** What is not ready yet, by check. */
  failures(): Record<string, string> {
    const failing = [...this.checks].map(([name, check]) => [name, check()] as const);
    return Object.fromEntries(
      failing.filter((entry): entry is readonly [string, string] => entry[1] !== null),
    );
  }
}

/** Shorter than those who ask for readiness usually wait. */
const PROBE_LIMIT_MS = 1_500;

/** One question at a time, however often readiness is asked for: what hangs must not pile up. */
class Probe {
  failure: string | null = null;
  private asking: Promise<string | null> | undefined;

  constructor(private readonly ask: () => Promise<unknown>) {}

  async run(): Promise<void> {
    this.asking ??= this.answer();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`no answer within ${PROBE_LIMIT_MS} ms`), PROBE_LIMIT_MS);
    });
    this.failure = await Promise.race([this.asking, late]);
    clearTimeout(timer);
  }

  private async answer(): Promise<string | null> {
    try {
      await this.ask();
      return null;
    } catch (error) {
      return error instanceof Error && error.message !== '' ? error.message : 'not reached';
    } finally {
      this.asking = undefined;
    }
  }
}

export async function startOpsServer(
  host: string,
  port: number,
  health: Health,
  telemetry: Telemetry,
): Promise<{ server: Server; port: number; stop(): Promise<void> }> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === '/metrics') {
      telemetry.scrape(request, response);
      return;
    }
    const route = health.routes.get(request.url ?? '');
    if (route) return answerRoute(route, request, response);
    if (request.url === '/readyz') await health.probe();
    const failures = request.url === '/readyz' ? health.failures() : {};
    const known = request.url === '/healthz' || request.url === '/readyz';
    const ready = Object.keys(failures).length === 0;
    response.writeHead(known ? (ready ? 200 : 503) : 404, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(known ? { status: ready ? 'ok' : 'not ready', failures } : { status: 'not found' }),
    );
  };
  const server = createServer((request, response) => void answer(request, response));
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

/** A page in an operator's browser cannot send `application/json` here: its browser would ask first, and be refused. */
async function answerRoute(
  route: OpsRoute,
  { method = 'GET', headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const isPlain = method === 'GET' || headers['content-type'] === 'application/json';
  const answer = isPlain
    ? await route(method).catch((error: unknown) => ({
        status: 503,
        body: { status: error instanceof Error ? error.message : 'failed' },
      }))
    : { status: 415, body: { status: 'send content-type: application/json' } };
  const { status, body } = answer ?? { status: 405, body: { status: 'method not allowed' } };
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
