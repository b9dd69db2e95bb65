import { ProblemDetails } from '@posthaste/contracts';
import { eventsIn, type StreamEvent } from './event-stream.js';
import { Failure, type FailureKind } from './failure.js';
import type { Target } from './target.js';

const ANSWER_WITHIN_MS = 15_000;
const PAGE_ROWS = 200;

export interface Page<T> {
  data: T[];
  next_cursor: string | null;
  has_more: boolean;
}

/** The REST API as one key sees it. What is not a success is thrown as a Failure that says why. */
export class Api {
  constructor(private readonly target: Pick<Target, 'url' | 'key' | 'from'>) {}

  async get<T>(path: string, query: Query = {}): Promise<T> {
    const answer = await this.ask('GET', withQuery(path, query));
    return json<T>(answer, this.target.url);
  }

  async post<T>(path: string, body?: object): Promise<T> {
    const headers = { 'content-type': 'application/json' };
    const content = body === undefined ? {} : { headers, body: JSON.stringify(body) };
    return json<T>(await this.ask('POST', path, content), this.target.url);
  }

  /** The events of a stream until it breaks or ends; its first ones may be those after an id. */
  async *events(path: string, query: Query, lastEventId?: string): AsyncGenerator<StreamEvent> {
    const after = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const open = (signal: AbortSignal): Promise<Response> =>
      this.ask('GET', withQuery(path, query), { headers: after, signal });
    yield* eventsIn(open, ANSWER_WITHIN_MS);
  }

  async bytes(path: string): Promise<Buffer> {
    return Buffer.from(await (await this.ask('GET', path)).arrayBuffer());
  }

  /** The first `limit` rows from a cursor on, page after page. */
  async list<T>(path: string, { limit, cursor, ...filters }: ListQuery): Promise<Page<T>> {
    const data: T[] = [];
    let next = cursor;
    for (;;) {
      const query = { ...filters, limit: Math.min(limit - data.length, PAGE_ROWS), cursor: next };
      const page = await this.get<Page<T>>(path, query);
      data.push(...page.data);
      const isDone = data.length >= limit || !page.has_more || page.next_cursor === null;
      if (isDone) return { ...page, data };
      next = page.next_cursor ?? undefined;
    }
  }

  private async ask(method: string, path: string, more: RequestInit = {}): Promise<Response> {
    const { url, key, from } = this.target;
    const answer = await reach(`${url}${path}`, {
      method,
      ...more,
      headers: { authorization: `Bearer ${key}`, ...(more.headers as Record<string, string>) },
    });
    if (answer.ok) return answer;
    throw refusal(answer.status, await answer.text(), url, from);
  }
}

export type Query = Record<string, string | number | undefined>;
export type ListQuery = Query & { limit: number; cursor?: string | undefined };

/** One request; a Failure that says in words what stood in its way when there was no answer. */
export async function reach(url: string, init: RequestInit = {}): Promise<Response> {
  try {
    // A redirect would take the key to wherever it points.
    const { signal = AbortSignal.timeout(ANSWER_WITHIN_MS) } = init;
    return await fetch(url, { ...init, redirect: 'error', signal });
  } catch (error) {
    const { origin } = new URL(url);
    throw new Failure('unreachable', `${origin} cannot be reached: ${wordsFor(error)}`, {
      hint: 'posthaste doctor looks for the reason',
    });
  }
}

const words: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name cannot be looked up now',
  ECONNRESET: 'it closed the connection',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'there is no way to that host',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
};

function wordsFor(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${ANSWER_WITHIN_MS / 1_000} s`;
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
  return (code !== undefined && words[code]) || code || message;
}

function refusal(status: number, text: string, url: string, from: string): Failure {
  const problem = ProblemDetails.safeParse(parsed(text)).data;
  if (problem === undefined) {
    return new Failure(kindOf(status), `${url} answered ${status}, and not as Posthaste does`, {
      hint: 'is it the URL of the REST API, without a path?',
    });
  }
  const { detail, code, errors = [] } = problem;
  const hint = status === 401 ? `the key is from ${from}` : hints[status];
  return new Failure(kindOf(status), detail, { code, errors, ...(hint === undefined ? {} : { hint }) });
}

const hints: Record<number, string> = {
  404: 'ids are found with posthaste messages list, deliveries list and endpoints list',
  503: 'posthaste doctor looks for the reason',
};

export function kindOf(status: number): FailureKind {
  if (status === 400 || status === 422) return 'usage';
  if (status === 404 || status === 410) return 'not_found';
  if (status === 502 || status === 503 || status === 504) return 'unreachable';
  return status < 500 ? 'refused' : 'failed';
}

async function json<T>(answer: Response, url: string): Promise<T> {
  const body = parsed(await answer.text());
  if (body !== undefined) return body as T;
  throw new Failure('failed', `${url} does not answer with JSON`, {
    hint: 'is it the URL of the REST API, without a path?',
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) search.set(name, String(value));
  }
  return search.size === 0 ? path : `${path}?${search.toString()}`;
}
