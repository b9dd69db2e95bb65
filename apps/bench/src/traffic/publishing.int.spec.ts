import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { GenerateOrder } from './protocol.js';
import { publishAll } from './publishing.js';
import { readAll } from './reading.js';

let server: Server;

async function serve(listener: RequestListener): Promise<string> {
  server = createServer((request, response) => {
    request.resume().on('end', () => listener(request, response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

function order(url: string, fields: Partial<GenerateOrder>): GenerateOrder {
  const target = { url, prefix: '{"payload":', suffix: '}' };
  return { targets: [target], headers: {}, payloadBytes: 256, count: 10, pace: { inFlight: 4 }, ...fields };
}

function answer(response: ServerResponse, status: number, body = ''): void {
  response.writeHead(status);
  response.end(body);
}

describe('publishing in the open loop', () => {
  it('charges a stall to every message it delayed, sent or not', async () => {
    const STALL_MS = 300;
    const CONNECTIONS = 64;
    const held: ServerResponse[] = [];
    let stalled = true;
    // The first 64 take every connection and are held; the others cannot even be sent.
    const url = await serve((_, response) => {
      if (!stalled) return answer(response, 202);
      held.push(response);
      if (held.length < CONNECTIONS) return;
      setTimeout(() => {
        stalled = false;
        for (const one of held) answer(one, 202);
      }, STALL_MS);
    });
    const count = 2 * CONNECTIONS;
    // All are due before the stall can be over, so each waited for nearly all of it or longer.
    const report = await publishAll(order(url, { count, pace: { perSecond: 10_000 } }));
    const dueWithinMs = (count * 1_000) / 10_000;
    expect(report.accepted).toBe(count);
    expect(report.acceptMs.p50).toBeGreaterThan(STALL_MS - dueWithinMs - 10);
  });
});

describe('publishing in the closed loop', () => {
  it('has no more than so many messages under way, and names those that were refused', async () => {
    let underWay = 0;
    let most = 0;
    let received = 0;
    const url = await serve((_, response) => {
      most = Math.max(most, ++underWay);
      const status = ++received % 5 === 0 ? 503 : 202;
      setImmediate(() => {
        underWay--;
        answer(response, status);
      });
    });
    const report = await publishAll(order(url, { count: 40 }));
    expect(most).toBeLessThanOrEqual(4);
    expect(report).toMatchObject({ accepted: 32, answers: { '202': 32, '503': 8 }, repeats: null });
    expect(new Set(report.refused).size).toBe(8);
  });

  it('sends each message again under its key, and sees an answer that is another', async () => {
    const seen = new Map<string, string[]>();
    const url = await serve((request, response) => {
      const key = String(request.headers['idempotency-key']);
      const answers = seen.get(key) ?? [];
      seen.set(key, answers);
      // The fourth message becomes another one the second time.
      const id = key === 'run-3' && answers.length === 1 ? 'other' : `message of ${key}`;
      answers.push(id);
      answer(response, 202, id);
    });
    const report = await publishAll(order(url, { keyed: { prefix: 'run', repeat: true } }));
    expect(seen.size).toBe(10);
    expect([...seen.values()].every(({ length }) => length === 2)).toBe(true);
    expect(report).toMatchObject({ accepted: 10, repeats: { differed: 1, acceptMs: { count: 10 } } });
  });
});

describe('reading', () => {
  it('takes turns over its targets, and tells the kinds apart', async () => {
    const paths: string[] = [];
    const url = await serve((request, response) => {
      paths.push(`${request.method} ${request.url}`);
      answer(response, request.url === '/gone' ? 404 : 200);
    });
    const targets = [
      { kind: 'list', url: `${url}list?limit=5` },
      { kind: 'one', url: `${url}gone` },
    ];
    const report = await readAll({ targets, headers: {}, count: 5, pace: { inFlight: 1 } });
    expect(paths).toEqual([
      'GET /list?limit=5',
      'GET /gone',
      'GET /list?limit=5',
      'GET /gone',
      'GET /list?limit=5',
    ]);
    expect(report).toMatchObject({
      answers: { '200': 3, '404': 2 },
      refused: 2,
      answerMs: { count: 5 },
      byKind: { list: { count: 3 }, one: { count: 2 } },
    });
  });
});
