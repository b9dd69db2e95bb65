// Lets a child process run our sources as they are: './x.js' means x.ts, '@posthaste/x' the library's index.
import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

const libraries = new URL('../libs/', import.meta.url);

registerHooks({
  resolve(specifier, context, nextResolve) {
    const library = /^@posthaste\/([^/]+)$/.exec(specifier)?.[1];
    if (library) return nextResolve(new URL(`${library}/src/index.ts`, libraries).href, context);
    if (/^\.{1,2}\/.*\.js$/.test(specifier)) {
      const source = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
      if (existsSync(fileURLToPath(source))) return nextResolve(source.href, context);
    }
    return nextResolve(specifier, context);
  },
});
