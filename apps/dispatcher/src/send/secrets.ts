import type { DeliveryAttempted } from '@posthaste/contracts';

/**
 * What must not get into the history, which more people read than may see an endpoint's secrets: the values of its
 * own headers, its signing secrets, and a token fetched for it. A receiver may send back all that it was sent.
 *
 * Found are the texts themselves, as bytes and as JSON strings. Not found is what a receiver has encoded or compressed.
 */
export interface Secrets {
  /** Longest first: one may be a part of another. */
  readonly texts: readonly string[];
  /** As they would stand in a body. */
  readonly forms: readonly Buffer[];
  readonly shortest: number;
  /** The endpoint's headers that are shown in part only. */
  readonly shownHeaders: Readonly<Record<string, string>> | null;
}

type Response = NonNullable<DeliveryAttempted['response']>;

/** Shorter values are in every page by chance. */
const MIN_SECRET_CHARS = 8;
/** No longer than the shortest secret, so that what was cut to size stays within it. */
const HIDDEN = '[hidden]';
const SECRET_NAME = /authorization|(^|[-_.])auth([-_.]|$)|token|secret|key|password|credential|session/i;
const SHOWN_CHARS = 4;
/** From here on the first characters tell the reader which value it is, and too little else. */
const MIN_SHOWN_IN_PART = 16;

/** Made once for each version of an endpoint. `signing` are its secrets as customers hold them: `whsec_...`. */
export function secretsOf(headers: Readonly<Record<string, string>>, signing: readonly string[]): Secrets {
  const named = Object.entries(headers).filter(([name]) => SECRET_NAME.test(name));
  const masked = named.map(([name, value]) => [name, maskHeader(value)] as const);
  const texts = [...Object.values(headers).flatMap(withoutScheme), ...signing.flatMap(withoutPrefix)];
  return { ...textsOf(texts), shownHeaders: masked.length > 0 ? Object.fromEntries(masked) : null };
}

/** The same with a bearer token of this attempt. */
export function withToken(secrets: Secrets, token: string): Secrets {
  const shownHeaders = { ...secrets.shownHeaders, authorization: maskHeader(`Bearer ${token}`) };
  return { ...textsOf([...secrets.texts, token]), shownHeaders };
}

/** `Bear... (40 characters)`: enough to tell one value from another. */
export function maskHeader(value: string): string {
  const start = value.length >= MIN_SHOWN_IN_PART ? value.slice(0, SHOWN_CHARS) : '';
  return `${start}... (${value.length} characters)`;
}

/** The headers of a request as they may be shown. */
export function shownHeaders(sent: Record<string, string>, secrets: Secrets): Record<string, string> {
  return secrets.shownHeaders === null ? sent : { ...sent, ...secrets.shownHeaders };
}

/** A response without the secrets; the same objects when there are none in it. */
export function scrub<T extends Pick<Response, 'headers' | 'bodyTruncated'> & { body: Buffer }>(
  response: T,
  secrets: Secrets,
): T {
  const headers = scrubHeaders(response.headers, secrets);
  const body = scrubBody(response.body, response.bodyTruncated, secrets);
  return headers === response.headers && body === response.body ? response : { ...response, headers, body };
}

function scrubHeaders(headers: Response['headers'], { texts, shortest }: Secrets): Response['headers'] {
  const holds = (value: string): boolean =>
    value.length >= shortest && texts.some((text) => value.includes(text));
  const isClean = Object.values(headers).every((value) =>
    typeof value === 'string' ? !holds(value) : !value.some(holds),
  );
  if (isClean) return headers;
  const clean = (value: string) => texts.reduce((rest, text) => rest.replaceAll(text, HIDDEN), value);
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      typeof value === 'string' ? clean(value) : value.map(clean),
    ]),
  );
}

function scrubBody(body: Buffer, isCut: boolean, { forms, shortest }: Secrets): Buffer {
  if (body.length < shortest && !isCut) return body;
  let kept = body;
  for (const form of forms) {
    for (let at = kept.indexOf(form); at !== -1; at = kept.indexOf(form, at + HIDDEN.length)) {
      kept = Buffer.concat([kept.subarray(0, at), Buffer.from(HIDDEN), kept.subarray(at + form.length)]);
    }
    if (isCut) kept = withoutBeginning(kept, form);
  }
  return kept;
}

/** Where the body was cut, the beginning of a secret may be left. */
function withoutBeginning(body: Buffer, form: Buffer): Buffer {
  for (let length = Math.min(form.length - 1, body.length); length >= MIN_SECRET_CHARS; length--) {
    const start = body.length - length;
    if (body.subarray(start).equals(form.subarray(0, length))) {
      return Buffer.concat([body.subarray(0, start), Buffer.from(HIDDEN)]);
    }
  }
  return body;
}

/** As it was sent (Latin-1), as text (UTF-8), inside a JSON string of either style, and percent-encoded. */
function formsOf(text: string): Buffer[] {
  const json = JSON.stringify(text).slice(1, -1);
  const forms = [text, json, json.replaceAll('/', '\\/'), encodeURIComponent(text)];
  const all = new Set(forms.flatMap((form) => [form, Buffer.from(form).toString('latin1')]));
  return [...all].map((form) => Buffer.from(form, 'latin1'));
}

function textsOf(found: string[]): Omit<Secrets, 'shownHeaders'> {
  const long = found.filter((text) => text.length >= MIN_SECRET_CHARS);
  const texts = [...new Set(long)].sort((a, b) => b.length - a.length);
  return { texts, forms: texts.flatMap(formsOf), shortest: texts.at(-1)?.length ?? Infinity };
}

/** `Basic dXNlcg==` is no less told by its second word. */
function withoutScheme(value: string): string[] {
  const [, credentials] = /^[A-Za-z]+ (\S+)$/.exec(value) ?? [];
  return credentials === undefined ? [value] : [value, credentials];
}

function withoutPrefix(secret: string): string[] {
  return [secret, secret.replace(/^wh[a-z]+_/, '')];
}
