import { RestClient, type RestAnswer, type RestRequest } from '@posthaste/test-kit';

/** What LinkUp's API answers, whatever it says. */
export interface LinkupAnswer<T = Record<string, unknown>> {
  success: boolean;
  data: T;
  error?: { code: string; message: string };
  metadata: { action: string; credits_consumed: number; timestamp: string };
}

/** What is posted, streamed, and kept for a hosted webhook. */
export interface Wrapper {
  account_id: string;
  account_name: string;
  event: { type: string; n: number };
  timestamp: string;
}

export interface PolledEvent {
  event_id: string;
  event: Wrapper;
  created_at: string;
}

export interface Made {
  webhook_id: string;
  stream_url: string;
  secret?: string;
}

export const numbers = (events: { event: Wrapper }[]): number[] => events.map(({ event }) => event.event.n);

/** A program written for LinkUp: it knows a base URL, a key, and LinkUp's paths. */
export class LinkupProgram {
  constructor(
    readonly url: string,
    readonly key: string,
  ) {}

  /** The answer, whatever it is. */
  say(method: string, below: string, request: RestRequest = {}): Promise<RestAnswer<LinkupAnswer>> {
    const headers = { 'x-api-key': this.key, ...request.headers };
    return new RestClient(this.url).send(method, `/v2/webhooks${below}`, { ...request, headers });
  }

  /** The data of a successful answer. */
  async call<T = Record<string, unknown>>(method: string, below: string, body?: object): Promise<T> {
    const { status, json, bytes } = await this.say(method, below, body === undefined ? {} : { body });
    if (status === 200) return json.data as T;
    throw new Error(`${method} ${below} answered ${status}: ${bytes.toString('utf8', 0, 2_000)}`);
  }

  make(fields: object): Promise<Made> {
    return this.call('POST', '', fields);
  }

  async polled(id: string, query = ''): Promise<PolledEvent[]> {
    return (await this.call<{ items: PolledEvent[] }>('GET', `/${id}/events${query}`)).items;
  }

  /** Everything that is kept, page after page, as LinkUp's programs go on: by the time of the last event. */
  async polledBySince(id: string, limit: number): Promise<PolledEvent[]> {
    const events: PolledEvent[] = [];
    for (;;) {
      const since = events.at(-1)?.created_at;
      const page = await this.polled(id, `?limit=${limit}${since === undefined ? '' : `&since=${since}`}`);
      events.push(...page);
      if (page.length < limit) return events;
    }
  }
}
