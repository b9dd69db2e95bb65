import http from 'node:http';
import { createParser, type EventSourceMessage } from 'eventsource-parser';

/**
 * One answer of server-sent events, read as it comes. It does not come again by itself, and it can stop reading, as a
 * client does whose machine is busy.
 */
export class StreamClient {
  readonly events: EventSourceMessage[] = [];
  readonly comments: string[] = [];
  /** Resolves when the answer is over, however that came. */
  readonly ended: Promise<void>;

  private constructor(
    private readonly request: http.ClientRequest,
    private readonly response: http.IncomingMessage,
  ) {
    const parser = createParser({
      onEvent: (event) => this.events.push(event),
      onComment: (comment) => this.comments.push(comment.trim()),
    });
    response.setEncoding('utf8').on('data', (text: string) => parser.feed(text));
    this.ended = new Promise((resolve) => response.on('close', resolve).on('error', () => resolve()));
  }

  /** Resolves with the headers of the answer; of a refusal too. */
  static open(url: string, headers: Record<string, string>): Promise<StreamClient> {
    return new Promise((resolve, reject) => {
      const request = http.get(url, { headers, agent: false }, (response) => {
        resolve(new StreamClient(request, response));
      });
      request.on('error', reject);
    });
  }

  get status(): number {
    return this.response.statusCode ?? 0;
  }

  get headers(): http.IncomingHttpHeaders {
    return this.response.headers;
  }

  pause(): void {
    this.response.pause();
  }

  resume(): void {
    this.response.resume();
  }

  close(): void {
    this.request.destroy();
  }
}
