import { isUtf8 } from 'node:buffer';
import { Problem } from '@posthaste/runtime';
import type { JsonFault } from './json-scanner.js';

/** What a body is told that is no JSON, or nested too deep: where in its bytes, and which of the two. */
export function jsonProblem({ rule, offset }: JsonFault, body: Buffer): Problem {
  const place =
    offset >= body.length ? `ends too early, at offset ${offset}` : `is wrong at offset ${offset}`;
  const message =
    rule === 'too_deep'
      ? `The value at offset ${offset} is nested too deep.`
      : `The JSON ${place} (bytes from 0).`;
  const code = rule === 'too_deep' ? 'invalid_request' : 'malformed_json';
  return new Problem(code, message, [{ pointer: '', code: rule, message, offset }]);
}

/** The fault of bytes that are not UTF-8; undefined for those that are. */
export function utf8Fault(body: Buffer): JsonFault | undefined {
  return isUtf8(body) ? undefined : { rule: 'malformed_json', offset: firstBadUtf8(body) };
}

/** The offset of the first byte that begins no valid character, by halving: isUtf8 is fast, and this is rare. */
function firstBadUtf8(body: Buffer): number {
  const validAt = (end: number): number => {
    // A cut may fall inside a character of at most four bytes.
    for (let cut = end; cut >= Math.max(0, end - 3); cut--) if (isUtf8(body.subarray(0, cut))) return cut;
    return -1;
  };
  let good = 0;
  let bad = body.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (validAt(middle) >= 0) good = middle;
    else bad = middle;
  }
  return validAt(good);
}
