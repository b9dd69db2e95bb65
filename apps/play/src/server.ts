import { isUtf8 } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { PAGE, SCRIPT, STYLE } from './page.js';
import { KEPT_BODY_BYTES, type ReceivedRequest, type Receiver, Receivers } from './receivers.js';
import { signatureVerdict } from './signature-verdict.js';

/**
 * Play: a receiver to point an endpoint at, that shows what arrived and answers as told.
 *
 *   /in/{token}[/...]                    receives, any method
 *   POST /api/receivers                  a new receiver with an unguessable token
 *   GET, PUT /api/receivers/{token}      its settings
 *   GET, DELETE .../requests             what arrived; ?after=seq&wait_ms= waits for the next
 *   /, /r/{token}                        the page
 *
 * Whoever knows a token may read its inbox: there is no other protection, so do not send it what must stay secret.
 */
const Token = z.object({ token: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'is not a token') });
const Settings = z
  .strictObject({
    status: z.number().int().min(200).max(599),
    delay_ms: z.number().int().min(0).max(120_000),
    secret: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]+=*$/, 'is not whsec_ and base64')
      .nullable(),
    fail_first: z.number().int().min(0).max(1_000),
  })
  .partial();
const RequestsQuery = z.object({
  after: z.coerce.number().int().min(0).default(0),
  wait_ms: z.coerce.number().int().min(0).max(30_000).default(0),
});
/** Above what is kept: a signature covers the whole body. */
const MAX_BODY_BYTES = 2 * 1024 * 1024;
const PAGE_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

export function createPlay(): FastifyInstance {
  const receivers = new Receivers();
  const app = Fastify({ bodyLimit: MAX_BODY_BYTES, forceCloseConnections: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof z.ZodError) return reply.code(400).send({ error: z.prettifyError(error) });
    const status = (error as { statusCode?: number }).statusCode ?? 500;
    return reply.code(status).send({ error: error instanceof Error ? error.message : 'unknown' });
  });
  app.addHook('preClose', async () => receivers.wakeAll());

  const receive = (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { token } = Token.parse(request.params);
    return receiveRequest(receivers, receivers.use(token), request, reply);
  };
  app.all('/in/:token', receive);
  app.all('/in/:token/*', receive);
  addApi(app, receivers);
  app.get('/healthz', async () => ({ status: 'ok' }));
  const served = { '/': PAGE, '/r/:token': PAGE, '/play.js': SCRIPT, '/play.css': STYLE };
  for (const [route, content] of Object.entries(served)) {
    const type = content === SCRIPT ? 'text/javascript' : content === STYLE ? 'text/css' : 'text/html';
    app.get(route, (_request, reply) =>
      reply.headers(PAGE_HEADERS).type(`${type}; charset=utf-8`).send(content),
    );
  }
  return app;
}

function addApi(app: FastifyInstance, receivers: Receivers): void {
  const receiverOf = (request: FastifyRequest): Receiver => receivers.use(Token.parse(request.params).token);

  app.post('/api/receivers', (request, reply) =>
    reply.code(201).send(toReceiver(request, receivers.create())),
  );
  app.get('/api/receivers/:token', async (request) => toReceiver(request, receiverOf(request)));
  app.put('/api/receivers/:token', async (request) => {
    const receiver = receiverOf(request);
    const { status, delay_ms, secret, fail_first } = Settings.parse(parseJson(request.body));
    receiver.change({
      ...(status === undefined ? {} : { status }),
      ...(delay_ms === undefined ? {} : { delayMs: delay_ms }),
      ...(secret === undefined ? {} : { secret }),
      ...(fail_first === undefined ? {} : { failFirst: fail_first }),
    });
    return toReceiver(request, receiver);
  });
  app.get('/api/receivers/:token/requests', async (request, reply) => {
    const receiver = receiverOf(request);
    const { after, wait_ms } = RequestsQuery.parse(request.query);
    if (wait_ms > 0 && receiver.after(after).length === 0) {
      await receiver.nextArrival(wait_ms, whenGone(reply));
    }
    return { data: receiver.after(after).map(toJson) };
  });
  app.delete('/api/receivers/:token/requests', (request, reply) => {
    receiverOf(request).clear();
    return reply.code(204).send();
  });
}

async function receiveRequest(
  receivers: Receivers,
  receiver: Receiver,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const whole = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const headers = headerPairs(request.raw.rawHeaders);
  const byName = new Map(headers);
  const wholeText = isUtf8(whole) ? whole.toString('utf8') : null;
  const status = receiver.nextStatus(byName.get('webhook-id'));
  const truncated = whole.length > KEPT_BODY_BYTES;
  const kept = truncated ? whole.subarray(0, KEPT_BODY_BYTES) : whole;
  receivers.record(receiver, {
    receivedAt: new Date().toISOString(),
    method: request.method,
    path: request.url,
    headers,
    body: truncated && wholeText !== null ? kept.toString('utf8') : wholeText,
    bodyBase64: kept.toString('base64'),
    bodyTruncated: truncated,
    size: whole.length,
    signature: signatureVerdict(receiver.settings.secret, byName, whole, wholeText),
    answeredStatus: status,
  });
  const { delayMs } = receiver.settings;
  if (delayMs > 0) await delay(delayMs, undefined, { signal: whenGone(reply) }).catch(() => undefined);
  const mayHaveBody = status !== 204 && status !== 304;
  return reply.code(status).send(mayHaveBody ? { received: status < 300 } : undefined);
}

/** Aborts when the client has hung up, so that nothing waits on for nobody. */
function whenGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  return gone.signal;
}

function headerPairs(raw: string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([(raw[i] ?? '').toLowerCase(), raw[i + 1] ?? '']);
  return pairs;
}

function parseJson(body: unknown): unknown {
  try {
    return JSON.parse(Buffer.isBuffer(body) ? body.toString('utf8') : '');
  } catch {
    throw Object.assign(new Error('the body is not JSON'), { statusCode: 400 });
  }
}

function toReceiver(request: FastifyRequest, { token, settings }: Receiver): Record<string, unknown> {
  const base = `${request.protocol}://${request.host}`;
  return {
    token,
    receive_url: `${base}/in/${token}`,
    inbox_url: `${base}/r/${token}`,
    status: settings.status,
    delay_ms: settings.delayMs,
    fail_first: settings.failFirst,
    has_secret: settings.secret !== null,
  };
}

function toJson(request: ReceivedRequest): Record<string, unknown> {
  const { receivedAt, bodyBase64, bodyTruncated, answeredStatus, ...same } = request;
  return {
    ...same,
    received_at: receivedAt,
    body_base64: bodyBase64,
    body_truncated: bodyTruncated,
    answered_status: answeredStatus,
  };
}
