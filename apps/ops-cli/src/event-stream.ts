import { createParser } from 'eventsource-parser';
import type { Api, Query } from './api.js';
import { Failure } from './failure.js';

/** One event of a stream of server-sent events. */
export interface StreamEvent {
  id: string | undefined;
  event: string;
  data: string;
}

/** The server shows every 15 s that it is there. */
const SILENT_MS = 45_000;
const PAUSE_MS = 1_000;

/**
 * A stream for as long as somebody wants it: it is asked for again, after the last event, whenever it breaks or ends.
 * Ends with a Failure when it is refused, or is not reached even once.
 *
 * @param onBreak told when it breaks (a sentence), and when it goes on (an empty one)
 */
export async function* follow(
  api: Api,
  path: string,
  query: Query,
  onBreak: (sentence: string) => void,
): AsyncGenerator<StreamEvent> {
  let after: string | undefined;
  let isBroken = false;
  let wasReached = false;
  for (;;) {
    let why = 'the stream ended';
    try {
      for await (const event of api.events(path, query, after)) {
        if (isBroken) onBreak('');
        [isBroken, wasReached] = [false, true];
        after = event.id ?? after;
        yield event;
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const isOver = error.kind !== 'unreachable' && error.kind !== 'failed';
      if (!wasReached || (isOver && after === undefined)) throw error;
      if (error.more.code === 'tail_expired') after = undefined;
      else if (isOver) throw error;
      why = error.message;
    }
    isBroken = true;
    onBreak(`${why}; trying again`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** Until it breaks or ends. @param open asks for it; what is not answered within the time is given up by the signal */
export async function* eventsIn(
  open: (signal: AbortSignal) => Promise<Response>,
  answerWithinMs: number,
): AsyncGenerator<StreamEvent> {
  const silence = new AbortController();
  const giveUp = (): void => silence.abort(new DOMException('it is silent', 'TimeoutError'));
  let timer = setTimeout(giveUp, answerWithinMs);
  const events: StreamEvent[] = [];
  const parser = createParser({
    onEvent: ({ id, event = 'message', data }) => events.push({ id, event, data }),
  });
  try {
    const answer = await open(silence.signal);
    const text = new TextDecoder();
    for await (const bytes of piecesOf(answer)) {
      clearTimeout(timer);
      timer = setTimeout(giveUp, SILENT_MS);
      parser.feed(text.decode(bytes, { stream: true }));
      yield* events.splice(0);
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/** A connection that breaks is an end like any other. */
async function* piecesOf({ body }: Response): AsyncGenerator<Uint8Array> {
  try {
    if (body) yield* body as AsyncIterable<Uint8Array>;
  } catch {
    return;
  }
}
