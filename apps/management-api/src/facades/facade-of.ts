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
