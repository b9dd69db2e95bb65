import { createParser, type EventSourceParser } from 'eventsource-parser';
import { publishLimits } from '@posthaste/contracts';

/** One event as the source sent it. */
export interface UpstreamEvent {
  /** The source's own id of it, if it can be one to go on from. */
  id: string | undefined;
  type: string;
  data: string;
}

/** What some bytes of a stream came to. */
export interface Reading {
  events: UpstreamEvent[];
  /** The last id seen, which need not belong to an event. */
  lastId: string | undefined;
  /** An event that is longer than any may be has begun; nothing more can be read. */
  isTooLarge: boolean;
}

/** It goes back to the source in a header, and is kept: no control characters, and not a novel. */
const USABLE_ID = /^[^\p{Cc}]{1,1024}$/u;

/** Cuts a stream of bytes into events, by the rules of server-sent events, keeping no more than one event may have. */
export class UpstreamEvents {
  /** What the stream last asked us to wait before connecting again. */
  retryMs: number | undefined;
  private readonly text = new TextDecoder();
  private readonly parser: EventSourceParser;
  private reading: Reading = nothing();

  constructor() {
    this.parser = createParser({
      maxBufferSize: publishLimits.payloadBytes,
      onId: (id) => (this.reading.lastId = usable(id) ?? this.reading.lastId),
      onEvent: ({ id, event, data }) =>
        this.reading.events.push({ id: usable(id), type: event || 'message', data }),
      onRetry: (retryMs) => (this.retryMs = retryMs),
      onError: ({ type }) => (this.reading.isTooLarge ||= type === 'max-buffer-size-exceeded'),
    });
  }

  read(bytes: Buffer): Reading {
    this.parser.feed(this.text.decode(bytes, { stream: true }));
    const reading = this.reading;
    this.reading = nothing();
    return reading;
  }
}

function usable(id: string | undefined): string | undefined {
  return id !== undefined && USABLE_ID.test(id) ? id : undefined;
}

function nothing(): Reading {
  return { events: [], lastId: undefined, isTooLarge: false };
}
