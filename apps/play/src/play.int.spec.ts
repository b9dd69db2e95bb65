import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { Webhook } from 'standardwebhooks';
import { createPlay } from './server.js';

const SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes, ok').toString('base64')}`;

interface Arrived {
  seq: number;
  headers: [string, string][];
  body: string | null;
  body_base64: string;
  body_truncated: boolean;
  size: number;
  path: string;
  answered_status: number;
  signature: { valid: boolean; reason?: string };
}

describe('play', () => {
  let play: FastifyInstance;
  let base: string;
  let token: string;

  beforeEach(async () => {
    play = createPlay();
    base = await play.listen({ host: '127.0.0.1', port: 0 });
    const made = (await (await fetch(`${base}/api/receivers`, { method: 'POST' })).json()) as {
      token: string;
      receive_url: string;
      inbox_url: string;
    };
    token = made.token;
    expect(made).toMatchObject({ receive_url: `${base}/in/${token}`, inbox_url: `${base}/r/${token}` });
  });
  afterEach(() => play.close());

  const settings = async (change: Record<string, unknown>): Promise<Response> =>
    fetch(`${base}/api/receivers/${token}`, { method: 'PUT', body: JSON.stringify(change) });
  const arrived = async (query = ''): Promise<Arrived[]> => {
    const response = await fetch(`${base}/api/receivers/${token}/requests${query}`);
    return ((await response.json()) as { data: Arrived[] }).data;
  };
  const signed = (body: string, { secret = SECRET, at = new Date(), id = 'msg_1' } = {}): RequestInit => ({
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(secret).sign(id, at, body),
    },
  });
  const send = (request: RequestInit, path = ''): Promise<Response> =>
    fetch(`${base}/in/${token}${path}`, request);

  it('calls a signature valid that the reference library made', async () => {
    await settings({ secret: SECRET });
    await send(signed('{"amount": 1.0,  "ä": "ö"}'));
    expect(await arrived()).toMatchObject([
      {
        seq: 1,
        signature: { valid: true },
        body: '{"amount": 1.0,  "ä": "ö"}',
        size: 28,
        answered_status: 200,
      },
    ]);
  });

  it.each([
    ['another secret', signedBy('whsec_b3RoZXI='), 'no matching signature'],
    ['a changed body', changedBody(), 'no matching signature'],
    ['an old timestamp', stamped(-400_000), 's in the past'],
    ['a timestamp to come', stamped(400_000), 's in the future'],
    ['no signature', without('webhook-signature'), 'missing header webhook-signature'],
    ['no id', without('webhook-id'), 'missing header webhook-id'],
    ['only another version', { 'webhook-signature': 'v1a,AAAA' }, 'no v1 signature, only v1a'],
    ['a timestamp that is none', { 'webhook-timestamp': 'noon' }, 'not a number of seconds'],
  ])('says what is wrong with %s', async (_what, change, reason) => {
    await settings({ secret: SECRET });
    const request = signed('{"a":1}');
    const headers = { ...(request.headers as Record<string, string>), ...change };
    for (const [name, value] of Object.entries(headers)) if (value === '') delete headers[name];
    await send({ ...request, headers });
    const [{ signature }] = (await arrived()) as [Arrived];
    expect(signature.valid).toBe(false);
    expect(signature.reason).toContain(reason);
  });

  it('says that it has no secret to check with', async () => {
    await send(signed('{}'));
    expect((await arrived())[0]?.signature.reason).toContain('secret unknown');
  });

  it('keeps headers in order, repeats and all, with lower-case names', async () => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1');
    socket.end(
      `POST /in/${token} HTTP/1.1\r\nHost: x\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
    await new Promise((resolve) => socket.on('close', resolve).resume());
    const [{ headers }] = (await arrived()) as [Arrived];
    expect(headers.filter(([name]) => name.startsWith('x-'))).toEqual([
      ['x-b', '1'],
      ['x-a', '2'],
      ['x-b', '3'],
    ]);
  });

  it('takes any method, path below, content type and bytes', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0xfe]);
    await send({ method: 'PUT', body: bytes, headers: { 'content-type': 'x/y' } }, '/deeper?q=1');
    expect(await arrived()).toMatchObject([
      {
        method: 'PUT',
        path: `/in/${token}/deeper?q=1`,
        body: null,
        body_base64: bytes.toString('base64'),
        size: 3,
      },
    ]);
  });

  it('keeps the first 256 KB of a body and checks the whole', async () => {
    await settings({ secret: SECRET });
    await send(signed('x'.repeat(300_000)));
    const [request] = (await arrived()) as [Arrived];
    expect(request).toMatchObject({ size: 300_000, body_truncated: true, signature: { valid: true } });
    expect(request.body).toHaveLength(262_144);
  });

  it('answers as told: status, and each webhook-id failing so often first', async () => {
    expect((await settings({ status: 204, fail_first: 2 })).status).toBe(200);
    const statuses = [];
    for (const id of ['a', 'a', 'b', 'a', 'b', 'b']) statuses.push((await send(signed('{}', { id }))).status);
    expect(statuses).toEqual([500, 500, 500, 204, 500, 204]);
  });

  it('has recorded a request before its delay is over', async () => {
    await settings({ delay_ms: 60_000 });
    const hanging = new AbortController();
    const sent = send({ ...signed('{}'), signal: hanging.signal }).catch(() => 'aborted');
    expect(await arrived('?wait_ms=10000')).toHaveLength(1);
    hanging.abort();
    expect(await sent).toBe('aborted');
  });

  it('refuses settings that are none', async () => {
    for (const change of [{ status: 99 }, { secret: 'abc' }, { colour: 'red' }]) {
      expect((await settings(change)).status).toBe(400);
    }
    expect((await fetch(`${base}/in/no%20token`, { method: 'POST' })).status).toBe(400);
  });

  it('lets a reader wait for the next request and read on from where it was', async () => {
    await send(signed('{"n":1}'));
    const waiting = arrived('?after=1&wait_ms=10000');
    await send(signed('{"n":2}'));
    expect(await waiting).toMatchObject([{ seq: 2, body: '{"n":2}' }]);
    expect(await arrived('?after=2&wait_ms=1')).toEqual([]);
  });

  it('forgets the oldest above 1,000 and everything when asked, and goes on counting', async () => {
    for (let i = 0; i < 1_005; i++) await send({ method: 'POST' });
    expect((await arrived()).map(({ seq }) => seq)).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 6));
    await fetch(`${base}/api/receivers/${token}/requests`, { method: 'DELETE' });
    await send({ method: 'POST' });
    expect((await arrived()).map(({ seq }) => seq)).toEqual([1_006]);
  }, 30_000);

  it('serves its page under a policy that allows nothing inline', async () => {
    for (const path of ['/', `/r/${token}`]) {
      const page = await fetch(base + path);
      expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'self';/);
      expect(await page.text()).not.toMatch(/\son\w+=|<script>|style=|<style/);
    }
    const script = await fetch(`${base}/play.js`);
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(await script.text()).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write|eval\(/);
  });

  function signedBy(secret: string): Record<string, string> {
    return { 'webhook-signature': new Webhook(secret).sign('msg_1', new Date(), '{"a":1}') };
  }
  function changedBody(): Record<string, string> {
    return { 'webhook-signature': new Webhook(SECRET).sign('msg_1', new Date(), '{"a": 1}') };
  }
  function stamped(offsetMs: number): Record<string, string> {
    const at = new Date(Date.now() + offsetMs);
    return {
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(SECRET).sign('msg_1', at, '{"a":1}'),
    };
  }
  function without(header: string): Record<string, string> {
    return { [header]: '' };
  }
});
