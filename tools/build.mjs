// Bundles one app: node tools/build.mjs <app>. Our own code is inlined, npm packages stay external.
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';

const root = path.resolve(import.meta.dirname, '..');
const app = process.argv[2];
const source = path.join(root, 'apps', app, 'src');
const out = path.join(root, 'dist/apps', app);
// The decorator helpers of @oxc-project are not installed packages: they must be inlined too.
const inlined = (id) => /^(\.|\/|\0|@posthaste\/|@oxc-project\/)/.test(id);
// main.ts is the program; any other *.main.ts beside it is a child process it starts.
const mains = readdirSync(source).filter((file) => /(^|\.)main\.ts$/.test(file));
const bundle = await rolldown({
  input: Object.fromEntries(mains.map((file) => [file.replace(/\.ts$/, ''), path.join(source, file)])),
  platform: 'node',
  tsconfig: path.join(root, 'tsconfig.base.json'),
  external: (id) => !inlined(id),
  // A package whose names are not used is not loaded either, in memory as well as in time: what a lib offers to one
  // service must cost the others nothing. Only this one is imported for what it does.
  treeshake: {
    moduleSideEffects: [
      { test: /^reflect-metadata$/, sideEffects: true },
      { external: true, sideEffects: false },
    ],
  },
});
const { output } = await bundle.write({
  dir: out,
  format: 'esm',
  entryFileNames: '[name].js',
  sourcemap: true,
  keepNames: true,
});
await bundle.close();
// Chunks are named after their content: without this, every build would leave the last one's behind.
const written = new Set(output.map(({ fileName }) => fileName));
for (const entry of readdirSync(out, { withFileTypes: true })) {
  if (entry.isFile() && !written.has(entry.name)) rmSync(path.join(out, entry.name));
}
const proto = path.join(root, 'libs/contracts/proto');
if (existsSync(proto)) cpSync(proto, path.join(out, 'proto'), { recursive: true });
