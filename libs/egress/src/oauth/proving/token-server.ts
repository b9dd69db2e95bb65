import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TokenRequest {
  path: string;
  headers: IncomingMessage['headers'];
  form: URLSearchParams;
}

type Behaviour = (response: ServerResponse, request: TokenRequest, count: number) => void;

const TEN_MINUTES_MS = 600_000;

function answerJson(
  response: ServerResponse,
  body: object,
  status = 200,
  headers: Record<string, string> = {},
): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}

const good = { access_token: 'good.token', token_type: 'Bearer', expires_in: 3_600 };
const json =
  (body: object, status = 200, headers: Record<string, string> = {}): Behaviour =>
  (response) =>
    answerJson(response, body, status, headers);

/** What a token server does, good and bad; chosen by the path. */
const behaviours: Record<string, Behaviour> = {
  '/good': json(good),
  '/numbered': (response, _, count) => answerJson(response, { ...good, access_token: `token-${count}` }),
  '/html': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>'),
  '/no-content-type': (response) => response.end(JSON.stringify(good)),
  '/empty-object': json({}),
  '/array': json([good]),
  '/empty': (response) => response.end(),
  '/204': (response) => response.writeHead(204).end(),
  '/no-type': json({ access_token: 'a', expires_in: 60 }),
  '/dpop': json({ ...good, token_type: 'DPoP' }),
  '/mac': json({ ...good, token_type: 'mac' }),
  '/expires-string': json({ ...good, expires_in: '120' }),
  '/expires-word': json({ ...good, expires_in: 'soon' }),
  '/expires-negative': json({ ...good, expires_in: -1 }),
  '/expires-huge': (response) =>
    response.end('{"access_token":"a","token_type":"bearer","expires_in":1e999}'),
  '/expires-missing': json({ access_token: 'good.token', token_type: 'bearer' }),
  '/crlf': json({ ...good, access_token: 'a\r\nx-injected: 1' }),
  '/space': json({ ...good, access_token: 'a b' }),
  '/unicode': json({ ...good, access_token: 'tökén' }),
  '/empty-token': json({ ...good, access_token: '' }),
  '/number-token': json({ ...good, access_token: 7 }),
  '/long-token': json({ ...good, access_token: 'a'.repeat(20_000) }),
  '/16k-token': json({ ...good, access_token: 'a'.repeat(16_384) }),
  '/proto': (response) => response.end('{"__proto__":{"access_token":"a","token_type":"bearer"}}'),
  '/redirect': (response) =>
    response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end(),
  '/500': (response) => response.writeHead(500).end('oops'),
  '/503': (response) => response.writeHead(503, { 'retry-after': '120' }).end(),
  '/429': json({ error: 'slow_down' }, 429, { 'retry-after': '7' }),
  '/invalid-client': json({ error: 'invalid_client', error_description: 'secret s3cr3t is wrong' }, 401, {
    'www-authenticate': 'Basic realm="x"',
  }),
  '/invalid-target': json({ error: 'invalid_target' }, 400),
  '/400-html': (response) => response.writeHead(400).end('<b>no</b>'),
  '/400-odd-error': json({ error: 'Bearer <script>\u0000' }, 400),
  '/10mb': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`{"access_token":"${'a'.repeat(10_000_000)}"}`);
  },
  '/drip': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const timer = setInterval(() => response.write(' '), 20);
    response.on('close', () => clearInterval(timer));
  },
  '/breaks-off': (response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('{"access_token":', () => response.destroy());
  },
  '/hang': () => undefined,
  '/reset': (response) => response.socket?.resetAndDestroy(),
  // Its clock is ten minutes behind: what it dates says nothing about how long a token lasts.
  '/clock-behind': (response) => {
    const past = new Date(Date.now() - TEN_MINUTES_MS);
    answerJson(response, { ...good, expires_at: Math.floor(past.getTime() / 1_000) }, 200, {
      date: past.toUTCString(),
    });
  },
  // The same clock on what we sign: an assertion from the future is refused.
  '/clock-behind-assertion': (response, { form }) => {
    const payload = (form.get('client_assertion') ?? '').split('.')[1] ?? '';
    const { iat } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { iat: number };
    const isFromTheFuture = iat * 1_000 > Date.now() - TEN_MINUTES_MS + 60_000;
    answerJson(response, isFromTheFuture ? { error: 'invalid_client' } : good, isFromTheFuture ? 401 : 200);
  },
};

/** A token server that does all a token server should not, as the path of a request asks for; it keeps what it got. */
export class TokenServer {
  readonly requests: TokenRequest[] = [];
  private readonly own = new Map<string, Behaviour>();

  private constructor(private readonly server: Server) {}

  static async start(): Promise<TokenServer> {
    const server = createServer();
    const tokens = new TokenServer(server);
    server.on('request', (request, response) => tokens.serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return tokens;
  }

  url(path: string): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}${path}`;
  }

  at(path: string): TokenRequest[] {
    return this.requests.filter((request) => request.path === path);
  }

  /** From now on the path behaves so. `count` is how often it was asked, from 1. */
  on(path: string, behaviour: Behaviour): void {
    this.own.set(path, behaviour);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    let body = '';
    response.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const path = request.url ?? '';
      const got: TokenRequest = { path, headers: request.headers, form: new URLSearchParams(body) };
      this.requests.push(got);
      const behaviour = this.own.get(path) ?? behaviours[path];
      if (behaviour) behaviour(response, got, this.at(path).length);
      else response.writeHead(404).end();
    });
  }
}
