import { isUtf8 } from 'node:buffer';
import { publishLimits } from '@posthaste/contracts';
import { JsonScanner } from '../http/json-scanner.js';
import type { FeedItem } from './feed-page.js';

const CLOSE = Buffer.from('}');

/** A feed's item as the API shows it (contracts' `FeedItem`); JSON payloads are embedded byte for byte. */
export function itemJson({ sequence, acceptedAt, meta, payload }: FeedItem): Buffer {
  const isJson = isJsonText(payload);
  const head = JSON.stringify({
    sequence,
    id: meta.id,
    event_type: meta.type,
    channels: meta.channels ?? [],
    tags: meta.tags ?? [],
    timestamp: acceptedAt.toISOString(),
    content_type: meta.contentType,
    payload_encoding: isJson ? 'json' : 'base64',
  });
  const value = isJson ? payload : Buffer.from(`"${payload.toString('base64')}"`);
  return Buffer.concat([Buffer.from(`${head.slice(0, -1)},"payload":`), value, CLOSE]);
}

/** Whatever its content type says: the raw form takes any bytes under any name, and one must not break a whole page. */
function isJsonText(bytes: Buffer): boolean {
  if (!isUtf8(bytes)) return false;
  const scanner = new JsonScanner(bytes);
  const end = scanner.value(scanner.space(0), publishLimits.payloadDepth);
  return end > 0 && scanner.end(end);
}
