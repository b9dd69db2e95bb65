import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

/**
 * The rules about who may import whom hold only as long as a linter enforces them, and the boundary rule falls silent
 * without Nx's project graph. So: plant one violation of each kind where a real file is, and see it refused.
 */
const root = path.resolve(import.meta.dirname, '../../..');

/** In a process of its own: Jest's sandbox is no place for a linter that loads its configuration by itself. */
const LINT_PROGRAM = `
import { ESLint } from 'eslint';
const eslint = new ESLint({ cwd: process.cwd() });
const found = [];
for (const { file, code } of JSON.parse(process.env.PLANTED)) {
  const [result] = await eslint.lintText(code, { filePath: file });
  found.push(result.messages.map(({ ruleId, message }) => ruleId + ': ' + message));
}
const { default: config } = await import(process.cwd() + '/eslint.config.mjs');
const rules = config.map(({ rules }) => rules?.['@nx/enforce-module-boundaries']).filter(Boolean);
const tags = rules.flatMap(([, { depConstraints }]) => depConstraints.map(({ sourceTag }) => sourceTag));
console.log(JSON.stringify({ found, tags }));
`;

const BOUNDARIES = '@nx/enforce-module-boundaries';
const violations = [
  ['the pure part using an adapter', 'libs/delivery/src/index.ts', '@posthaste/egress', BOUNDARIES],
  ['the pure part using the log', 'libs/delivery/src/index.ts', '@posthaste/event-log', BOUNDARIES],
  ['an adapter using the decisions', 'libs/event-log/src/port.ts', '@posthaste/delivery', BOUNDARIES],
  ['one adapter using another', 'libs/vault/src/index.ts', '@posthaste/event-log', BOUNDARIES],
  ['the contracts using a lib', 'libs/contracts/src/index.ts', '@posthaste/vault', BOUNDARIES],
  [
    'a service using another service',
    'apps/dispatcher/src/config.ts',
    '../../audit-log/src/config.js',
    BOUNDARIES,
  ],
  ['a service reached by a path', 'apps/play/src/config.ts', '../../../libs/vault/src/index.js', BOUNDARIES],
  ['I/O in the pure part', 'libs/delivery/src/index.ts', 'node:fs', 'no-restricted-imports'],
  [
    'a test tool in production code',
    'apps/management-api/src/config.ts',
    '@posthaste/test-kit',
    'no-restricted-imports',
  ],
  [
    'a local server in production code',
    'libs/runtime/src/index.ts',
    '@posthaste/local-stack',
    'no-restricted-imports',
  ],
] as const;

describe('the workspace', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-workspace-'));
  let dependencies: Record<string, { target: string }[]>;
  let found: string[][];
  let knownTags: string[];

  beforeAll(() => {
    const file = path.join(folder, 'graph.json');
    const nx = path.join(root, 'node_modules/nx/dist/bin/nx.js');
    execFileSync(process.execPath, [nx, 'graph', `--file=${file}`], { cwd: root, stdio: 'pipe' });
    const graph = JSON.parse(readFileSync(file, 'utf8')) as { graph: { dependencies: typeof dependencies } };
    ({ dependencies } = graph.graph);
    const planted = violations.map(([, place, imported]) => ({
      file: place,
      code: `import * as planted from '${imported}';\nexport { planted };\n`,
    }));
    const allowed = { file: 'libs/delivery/src/index.ts', code: `export * from '@posthaste/contracts';\n` };
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', LINT_PROGRAM], {
      cwd: root,
      encoding: 'utf8',
      // Where CI is set the type-checked rules read files from the disk once, and never see what is planted.
      env: { ...process.env, CI: '', PLANTED: JSON.stringify([...planted, allowed]) },
    });
    ({ found, tags: knownTags } = JSON.parse(output) as { found: string[][]; tags: string[] });
  }, 120_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(violations.map(([what, , , rule], index) => ({ what, rule, index })))(
    'refuses $what',
    ({ rule, index }) => {
      expect(found[index]?.filter((message) => message.startsWith(`${rule}: `))).toHaveLength(1);
    },
  );

  it('allows what the table allows', () => {
    expect(found.at(-1)).toEqual([]);
  });

  const targets = (project: string): string[] =>
    (dependencies[project] ?? []).map(({ target }) => target).filter((target) => !target.startsWith('npm:'));

  it.each(['management-api', 'dispatcher', 'retry-scheduler', 'audit-log'])(
    'knows %s by its imports, so that a change reaches what depends on it',
    (service) => {
      expect(targets(service)).toEqual(expect.arrayContaining(['contracts', 'event-log', 'runtime']));
    },
  );

  it('knows the edges of its libs, and none where there is none', () => {
    expect(targets('delivery')).toEqual(['contracts']);
    expect(targets('standalone')).toContain('local-stack');
    expect(targets('contracts')).toEqual([]);
  });

  it('has a row in the table of boundaries for every project', () => {
    const projects = globSync('{apps,libs}/*/project.json', { cwd: root });
    expect(projects.length).toBeGreaterThan(15);
    for (const file of projects) {
      const { tags } = JSON.parse(readFileSync(path.join(root, file), 'utf8')) as { tags: string[] };
      // Without a known tag a project could import anything.
      expect({ file, known: tags.filter((tag) => knownTags.includes(tag)) }).toEqual({ file, known: tags });
      expect(tags).toHaveLength(1);
    }
  });

  it('names every package by one exact version', () => {
    const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    const kinds = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'];
    const versions = kinds.flatMap((kind) => Object.entries(manifest[kind] ?? {}));
    expect(versions.length).toBeGreaterThan(30);
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  });
});
