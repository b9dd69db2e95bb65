import { ada } from './ada/facade.js';
import type { Facade } from './facade.js';
import { linkup } from './linkup/facade.js';
import { middesk } from './middesk/facade.js';

const facades: readonly Facade[] = [ada, linkup, middesk];

/** Whose API a path belongs to; undefined: ours. */
export function facadeOf(url: string): Facade | undefined {
  const [path = url] = url.split('?', 1);
  return facades.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
}

/** The URL as its route is known: without the slash at the end of its path, where the product does not mind one. */
export function routedUrl(url: string): string {
  const facade = facades.find(({ prefix, trailingSlash }) => trailingSlash && url.startsWith(`${prefix}/`));
  return facade ? url.replace(/^([^?]*)\/(?=\?|$)/, '$1') : url;
}
