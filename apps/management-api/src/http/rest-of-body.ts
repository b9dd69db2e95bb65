import type { IncomingMessage } from 'node:http';

/** Ten times what any of our routes takes: whoever sends more means no honest request. */
const READ_ON_BYTES = 100 * 1_048_576;

/**
 * Goes on when the rest of a refused body has come and was thrown away. Whoever is answered while it still sends, and
 * finds the connection closed, sees a broken connection and never the answer. The server's time for a request bounds it.
 */
export function afterTheRest(request: IncomingMessage, goOn: () => void): void {
  if (request.readableEnded || Number(request.headers['content-length']) > READ_ON_BYTES) {
    goOn();
    return;
  }
  let left = READ_ON_BYTES;
  const end = (): void => {
    request.off('data', count).off('end', end).off('close', end);
    goOn();
  };
  const count = (chunk: Buffer): void => {
    left -= chunk.length;
    if (left < 0) end();
  };
  request.on('data', count).once('end', end).once('close', end);
}
