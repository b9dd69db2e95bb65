/**
 * The API as a customer's program sees it: one request, one answer, nothing hidden. It repeats nothing and throws only
 * when there was no answer at all.
 */
export interface RestAnswer<T = unknown> {
  status: number;
  headers: Headers;
  bytes: Buffer;
  /** The body as JSON; null when it is not. */
  json: T;
}

export interface RestRequest {
  /** An object is sent as JSON; text and bytes as they are. */
  body?: unknown;
  headers?: Record<string, string>;
}

export class RestClient {
  constructor(
    readonly url: string,
    /** An API key; without one no Authorization header is sent. */
    readonly key?: string,
  ) {}

  async send<T = unknown>(method: string, path: string, request: RestRequest = {}): Promise<RestAnswer<T>> {
    const { body } = request;
    const raw = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(this.key === undefined ? {} : { authorization: `Bearer ${this.key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...request.headers,
      },
      ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, bytes, json: parsed(bytes) as T };
  }

  get<T = unknown>(path: string, headers: Record<string, string> = {}): Promise<RestAnswer<T>> {
    return this.send('GET', path, { headers });
  }

  post<T = unknown>(
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<RestAnswer<T>> {
    return this.send('POST', path, { body, headers });
  }

  put<T = unknown>(
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<RestAnswer<T>> {
    return this.send('PUT', path, { body, headers });
  }

  patch<T = unknown>(
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<RestAnswer<T>> {
    return this.send('PATCH', path, { body, headers });
  }

  delete<T = unknown>(path: string, headers: Record<string, string> = {}): Promise<RestAnswer<T>> {
    return this.send('DELETE', path, { headers });
  }

  /** The JSON of a successful answer; anything else is thrown with the problem in its message. */
  async ask<T>(method: string, path: string, request: RestRequest = {}): Promise<T> {
    const answer = await this.send<T>(method, path, request);
    if (answer.status < 300) return answer.json;
    throw new Error(
      `${method} ${path} answered ${answer.status}: ${answer.bytes.toString('utf8', 0, 2_000)}`,
    );
  }

  /** Every row of a list, page after page. */
  async all<T>(path: string): Promise<T[]> {
    const rows: T[] = [];
    let cursor: string | null = null;
    do {
      const separator = path.includes('?') ? '&' : '?';
      const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: { data: T[]; next_cursor: string | null; has_more: boolean } = await this.ask(
        'GET',
        `${path}${separator}limit=200${query}`,
      );
      rows.push(...page.data);
      cursor = page.has_more ? page.next_cursor : null;
    } while (cursor !== null);
    return rows;
  }
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return null;
  }
}
