import { z } from 'zod';

/** An RFC 9110 token. */
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** Visible Latin-1, spaces and tabs: no CR, LF or NUL, which would end the header or the request. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const NAME_CHARS = 128;
const VALUE_CHARS = 2_048;
const HEADERS = 20;

/** Set by us, or able to change where a request goes, how it is framed or what it claims to be. */
const RESERVED = new Set([
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'keep-alive',
  'cookie',
  'user-agent',
  'traceparent',
  'tracestate',
]);
const RESERVED_PREFIXES = ['proxy-', 'webhook-', 'svix-'];

interface BrokenRule {
  rule: string;
  message: string;
}

/** The rule a custom header breaks by itself, or null. Also asked before sending: rules may grow stricter. */
export function customHeaderRule(name: string, value: string): BrokenRule | null {
  return headerNameRule(name) ?? headerValueRule(value);
}

function headerNameRule(name: string): BrokenRule | null {
  if (name.length > NAME_CHARS || !HEADER_NAME.test(name)) {
    return { rule: 'bad_header_name', message: `must be a header name of at most ${NAME_CHARS} characters` };
  }
  const lower = name.toLowerCase();
  return RESERVED.has(lower) || RESERVED_PREFIXES.some((prefix) => lower.startsWith(prefix))
    ? { rule: 'reserved_header', message: 'is set by us and cannot be set here' }
    : null;
}

function headerValueRule(value: string): BrokenRule | null {
  if (value.length <= VALUE_CHARS && HEADER_VALUE.test(value)) return null;
  return { rule: 'bad_header_value', message: `must be at most ${VALUE_CHARS} visible Latin-1 characters` };
}

/** Headers added to each request of an endpoint. */
export const CustomHeaders = z
  .record(z.string(), z.string())
  .superRefine((headers, context) => {
    const names = Object.keys(headers);
    const refuse = (name: string | undefined, rule: string, message: string): void => {
      context.addIssue({
        code: 'custom',
        path: name === undefined ? [] : [name],
        message,
        params: { rule },
      });
    };
    if (names.length > HEADERS) refuse(undefined, 'too_many', `must be at most ${HEADERS} headers`);
    const seen = new Set<string>();
    for (const [name, value] of Object.entries(headers)) {
      const bad = customHeaderRule(name, value);
      if (bad) refuse(name, bad.rule, bad.message);
      else if (seen.has(name.toLowerCase())) refuse(name, 'duplicate_header', 'is there in another spelling');
      seen.add(name.toLowerCase());
    }
  })
  .meta({ description: `Sent with every request to the endpoint; at most ${HEADERS}.` });
