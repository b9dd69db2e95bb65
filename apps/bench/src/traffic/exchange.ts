import { type Dispatcher, Pool } from 'undici';
import type { Pace } from './protocol.js';

const CONNECTIONS = 64;

/** Connections to the one origin of the URLs, as many as the closed loop has requests at a time. */
export function poolFor(url: string | undefined, pace: Pace): Pool {
  const connections = 'inFlight' in pace ? pace.inFlight : CONNECTIONS;
  return new Pool(new URL(url ?? '').origin, { connections, pipelining: 1 });
}

export function pathOf(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/**
 * One request, and its answer's status (0 for none) and, where asked, body. Undici's dispatch is its lowest level and
 * leaves most of the core to what is measured.
 */
export function exchange(
  pool: Pool,
  request: Dispatcher.DispatchOptions,
  onAnswer: (status: number, body: string) => void,
  keepBody = false,
): void {
  let status = 0;
  let body = '';
  pool.dispatch(request, {
    // Undici insists on the first and the third.
    onRequestStart: () => undefined,
    onResponseStart: (_controller, code) => {
      status = code;
    },
    onResponseData: (_controller, chunk) => {
      if (keepBody) body += chunk.toString();
    },
    onResponseEnd: () => onAnswer(status, body),
    onResponseError: () => onAnswer(0, ''),
  });
}
