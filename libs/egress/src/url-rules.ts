import { isIP } from 'node:net';
import { addressProblem, type EgressPolicy, isDeniedHost, isExplicitlyAllowed } from './address-rules.js';

/**
 * Which URLs an endpoint may have. Checked when an endpoint is created or changed, and again before every attempt,
 * since policies change too. Names are judged here only by their form; what they resolve to is judged at connect.
 */
export type UrlRule =
  | 'too_long'
  | 'odd_characters'
  | 'not_a_url'
  | 'scheme'
  | 'https_only'
  | 'userinfo'
  | 'fragment'
  | 'host'
  | 'private_name'
  | 'private_address'
  | 'denied_host'
  | 'port';

export type UrlVerdict = { ok: true; href: string } | { ok: false; rule: UrlRule; message: string };

const messages: Record<UrlRule, string> = {
  too_long: 'must be at most 2,048 characters',
  odd_characters: 'must not contain spaces, control characters or backslashes',
  not_a_url: 'must be an absolute URL',
  scheme: 'must start with https://',
  https_only: 'must start with https://; plain http is not allowed',
  userinfo: 'must not contain a user name or password',
  fragment: 'must not contain a fragment (#)',
  host: 'must have a valid host name',
  private_name: 'must name a public host',
  private_address: 'must not point to a private or reserved address',
  denied_host: 'must not point to a host that is denied here',
  port: 'must use port 80, 443, or one from 1024 up that no well-known internal service uses',
};

const MAX_URL_CHARS = 2_048;
const MAX_NAME_CHARS = 253;
/** Letters, digits, hyphens and underscores, not at the ends: `URL` accepts empty and overlong labels. */
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const PRIVATE_SUFFIXES = [
  'localhost',
  'local',
  'internal',
  'svc',
  'cluster.local',
  'onion',
  'in-addr.arpa',
  'ip6.arpa',
  'home.arpa',
];
const PORT_MIN = 1_024;
/** Services without a login that a POST could command: MySQL, PostgreSQL, Redis, Kafka, Elasticsearch, etcd, kubelet, memcached. */
const DENIED_PORTS = new Set([
  2375, 2376, 2379, 2380, 3306, 5432, 6379, 9092, 9200, 9300, 10250, 11211, 27017,
]);

/** The URL in the form it is called in, or the first rule it breaks. */
export function checkUrl(url: string, policy: EgressPolicy): UrlVerdict {
  const parsed = parse(url);
  if (typeof parsed === 'string') return refuse(parsed);
  const rule = formProblem(parsed) ?? hostProblem(parsed, policy) ?? portProblem(parsed);
  if (rule !== null) return refuse(rule);
  return parsed.href.length > MAX_URL_CHARS ? refuse('too_long') : { ok: true, href: parsed.href };
}

/**
 * What to keep and show of a URL that is called as `href`: as it was written, since who compares what they sent with what
 * they read, as Terraform does, would see a change that nobody made. But a host that does not read as what is called, of
 * lookalike letters or a number, must show itself.
 */
export function shownAs(url: string, href: string): string {
  const { protocol, hostname } = new URL(href);
  const origin = `${protocol}//${hostname}`;
  const isPlain = url.toLowerCase().startsWith(origin) && /^([:/?]|$)/.test(url.slice(origin.length));
  return isPlain ? url : href;
}

/** The form a URL is called in: the same for two that are only written differently. What is no URL stays as it is. */
export function calledAs(url: string): string {
  const parsed = parse(url);
  return typeof parsed === 'string' ? url : parsed.href;
}

/** The host as an address to connect to: brackets of an IPv6 literal are the URL's, not the address's. */
function bareHost(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

function parse(url: string): URL | UrlRule {
  if (url.length > MAX_URL_CHARS) return 'too_long';
  // `URL` strips or converts these silently, so what is stored would not be what was written.
  for (let i = 0; i < url.length; i++) {
    const code = url.charCodeAt(i);
    if (code <= 0x20 || code === 0x7f || code === 0x5c) return 'odd_characters';
  }
  if (!URL.canParse(url)) return 'not_a_url';
  const parsed = new URL(url);
  // A root dot changes nothing for DNS but breaks the match with a certificate's name.
  if (parsed.hostname.endsWith('.')) parsed.hostname = parsed.hostname.slice(0, -1);
  return parsed;
}

function formProblem(url: URL): UrlRule | null {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'scheme';
  if (url.username !== '' || url.password !== '') return 'userinfo';
  return url.href.includes('#') ? 'fragment' : null;
}

function hostProblem({ hostname, protocol }: URL, policy: EgressPolicy): UrlRule | null {
  const host = bareHost(hostname);
  if (isDeniedHost(host, policy)) return 'denied_host';
  if (isIP(host) !== 0) {
    if (addressProblem(host, policy) !== null) return 'private_address';
  } else {
    const labels = host.split('.');
    if (host.length > MAX_NAME_CHARS || !labels.every((label) => LABEL.test(label))) return 'host';
    const isPrivate = PRIVATE_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
    if (isPrivate || labels.length === 1) return 'private_name';
  }
  return protocol === 'http:' && !isExplicitlyAllowed(host, policy) ? 'https_only' : null;
}

function portProblem({ port }: URL): UrlRule | null {
  if (port === '' || port === '80' || port === '443') return null;
  return Number(port) < PORT_MIN || DENIED_PORTS.has(Number(port)) ? 'port' : null;
}

function refuse(rule: UrlRule): UrlVerdict {
  return { ok: false, rule, message: messages[rule] };
}
