import type { FastifyRequest } from 'fastify';
import { ada } from './ada/facade.js';
import type { Facade } from './facade.js';
import { linkup } from './linkup/facade.js';
import { middesk } from './middesk/facade.js';

const facades: readonly Facade[] = [ada, linkup, middesk];

/** Whose API a route, or a URL as `routedUrl` leaves it, belongs to; undefined: ours. */
export function facadeOfUrl(url: string): Facade | undefined {
  const [path = url] = url.split('?', 1);
  return facades.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
}

/**
 * Whose API a request asked. The route that was found for it says so: a path has more spellings than its text, and
 * whoever decides by the text lets some of them past the facade's limits and into ours.
 */
export function facadeOf({ routeOptions, url }: FastifyRequest): Facade | undefined {
  return facadeOfUrl(routeOptions.url ?? url);
}

/**
 * The URL as its route is known, so that all that look at a request see the same path as the router: without an
 * authority or a fragment, with the characters that need no escape as they are (RFC 3986, section 6.2.2.2), and without
 * the slash at the end of its path, where the product does not mind one. What else is escaped stays so.
 */
export function routedUrl(url: string): string {
  const [, path = '', query = ''] = /^(?:https?:\/\/[^/?#]+)?([^?#]*)(\?.*)?/is.exec(url) ?? [];
  const plain = path.includes('%')
    ? path.replace(UNRESERVED, (escaped) => decodeURIComponent(escaped))
    : path;
  const isSlashless = plain.endsWith('/') && plain.length > 1 && facadeOfUrl(plain)?.trailingSlash;
  return `${isSlashless ? plain.slice(0, -1) : plain || '/'}${query}`;
}

/** The escapes of letters, digits and `-._~`; but not where they would mend a broken escape before them. */
const UNRESERVED = /(?<!%[\da-f]?)%(?:2[de]|3\d|4[1-9a-f]|5[\daf]|6[1-9a-f]|7[\dae])/gi;
