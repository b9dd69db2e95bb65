import { expect } from '@jest/globals';
import { RestClient, type RestAnswer, type RestRequest } from '@posthaste/test-kit';

/** The answer of LinkUp's API, whatever it says. */
export interface LinkupAnswer {
  success: boolean;
  data: Record<string, unknown>;
  error?: { code: string; message: string };
  metadata: { action: string; credits_consumed: number; timestamp: string };
}

/** Programs written for LinkUp: they know its paths, and put their key into its header. */
export class LinkupClient {
  /** What stands for `{name}` in a path. */
  readonly ids: Record<string, string> = {};
  private readonly http: RestClient;

  constructor(
    readonly url: string,
    readonly key: string,
  ) {
    this.http = new RestClient(url);
  }

  /** @param line such as `GET /{hosted}`: the method, and the path below `/v2/webhooks`. */
  call(line: string, body?: unknown, headers?: Record<string, string>): Promise<RestAnswer<LinkupAnswer>> {
    const request: RestRequest = body === undefined ? {} : { body };
    return this.bare(line, { ...request, headers: { 'x-api-key': this.key, ...headers } });
  }

  /** Without the key. */
  bare(line: string, request: RestRequest = {}): Promise<RestAnswer<LinkupAnswer>> {
    const [method = '', path = ''] = line.split(' ');
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => this.ids[name] ?? name);
    return this.http.send(method, `/v2/webhooks${filled}`, request);
  }

  /** Creates a webhook; its id. */
  async make(fields: object): Promise<string> {
    const { status, json } = await this.call('POST', fields);
    if (status !== 200) throw new Error(`no webhook was made: ${JSON.stringify(json)}`);
    return String(json.data['webhook_id']);
  }
}

export const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as unknown;

/** Exactly this answer: no field more, none less. */
export function expectAnswer(
  { status, headers, json }: RestAnswer<LinkupAnswer>,
  action: string,
  data: unknown,
): void {
  expect({ status, json }).toEqual({
    status: 200,
    json: { success: true, data, metadata: { action, credits_consumed: 0, timestamp: TIME } },
  });
  expect(headers.get('content-type')).toMatch(/^application\/json/);
}

/** LinkUp's shape of an error, with the one status its code has. */
export function expectError(
  { status, headers, json }: RestAnswer<LinkupAnswer>,
  code: LinkupCode,
  { action, message = /./ }: { action?: string; message?: RegExp } = {},
): void {
  expect({ status, json }).toEqual({
    status: statuses[code],
    json: {
      success: false,
      error: { code, message: expect.stringMatching(message) as unknown },
      metadata: { action: action ?? (expect.any(String) as unknown), credits_consumed: 0, timestamp: TIME },
    },
  });
  expect(headers.get('content-type')).toMatch(/^application\/json/);
}

const statuses = {
  INVALID_API_KEY: 403,
  INVALID_ACCOUNT: 404,
  INVALID_ACTION: 400,
  INVALID_PARAMS: 400,
  RATE_LIMITED: 429,
  INSUFFICIENT_CREDITS: 402,
  INTERNAL_ERROR: 500,
};

export type LinkupCode = keyof typeof statuses;
