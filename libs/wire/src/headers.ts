const VERSION = '0.1.0';

export const USER_AGENT = `Posthaste/${VERSION}`;

/**
 * Header names a customer may not set: those of the connection and framing, which HTTP clients pass on unchecked, and
 * those we set ourselves.
 */
const RESERVED = new Set([
  'connection',
  'content-length',
  'content-type',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
]);
const RESERVED_PREFIXES = ['proxy-', 'webhook-'];

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** RFC 9110 field values without obsolete bytes: no control characters, nothing beyond ASCII. */
const VALUE = /^[\x20-\x7e\t]*$/;

/** Why a customer may not set this header; null when they may. */
export function headerProblem(
  name: string,
  value: string,
): 'reserved' | 'invalid_name' | 'invalid_value' | null {
  const lower = name.toLowerCase();
  if (!NAME.test(lower)) return 'invalid_name';
  if (RESERVED.has(lower) || RESERVED_PREFIXES.some((prefix) => lower.startsWith(prefix))) return 'reserved';
  return VALUE.test(value) ? null : 'invalid_value';
}

/** A customer's headers as they are sent: lower-case, and without any that may not be set. */
export function customHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given)
      .filter(([name, value]) => headerProblem(name, value) === null)
      .map(([name, value]) => [name.toLowerCase(), value]),
  );
}
