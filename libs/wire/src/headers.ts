import { customHeaderRule } from '@posthaste/contracts';

const VERSION = '0.1.0';

export const USER_AGENT = `Posthaste/${VERSION}`;

/** Where the message stands in its account's order: the same at each attempt, and no part of the signature. */
export function positionHeader(position: string | undefined): Record<string, string> {
  return position === undefined ? {} : { 'webhook-position': position };
}

/**
 * A customer's headers as they are sent: lower-case, each once, and without any that may not be set. They were checked
 * when they were configured, but HTTP clients pass on anything: whatever stands in an old configuration, a request is
 * never framed or signed by its customer.
 */
export function customHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given)
      .filter(([name, value]) => customHeaderRule(name, value) === null)
      .map(([name, value]) => [name.toLowerCase(), value]),
  );
}
