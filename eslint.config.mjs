import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

// Who may import whom (ARCHITECTURE.md has the picture). A lib is tagged with its own name, so each row reads as
// one sentence: "wire may depend on contracts". Two services never import each other.
const mayDependOn = {
  'lib:contracts': [],
  'lib:runtime': ['lib:local-stack'],
  'lib:local-stack': [],
  'lib:delivery': ['lib:contracts'],
  'lib:wire': ['lib:contracts'],
  'lib:egress': ['lib:contracts'],
  'lib:pg-arrays': ['lib:local-stack'],
  'lib:event-log': ['lib:contracts', 'lib:pg-arrays', 'lib:local-stack', 'lib:test-kit'],
  'lib:rebuild': ['lib:contracts', 'lib:event-log', 'lib:runtime'],
  'lib:vault': ['lib:contracts'],
  'lib:audit-tree': [],
  'lib:test-kit': ['lib:contracts', 'lib:local-stack'],
  'type:service': [
    'lib:contracts',
    'lib:delivery',
    'lib:wire',
    'lib:egress',
    'lib:event-log',
    'lib:pg-arrays',
    'lib:rebuild',
    'lib:vault',
    'lib:audit-tree',
    'lib:runtime',
    'lib:local-stack',
    'lib:test-kit',
  ],
  'type:tool': [
    'lib:contracts',
    'lib:delivery',
    'lib:wire',
    'lib:event-log',
    'lib:audit-tree',
    'lib:runtime',
    'lib:local-stack',
    'lib:test-kit',
  ],
};

// Only tests may bring up brokers, databases and receivers.
const testOnly = ['@posthaste/test-kit', '@posthaste/local-stack'];

export default tseslint.config(
  { ignores: ['**/dist', '**/node_modules', '.nx', '.posthaste', '**/*.mjs', '**/*.cjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    files: ['**/*.ts'],
    languageOptions: {
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@nx': nx },
    rules: {
      // An injected class imported as a type loses its metadata, and Nest's injection with it.
      '@typescript-eslint/consistent-type-imports': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      '@nx/enforce-module-boundaries': [
        'error',
        {
          enforceBuildableLibDependency: false,
          allow: [],
          depConstraints: Object.entries(mayDependOn).map(([sourceTag, onlyDependOnLibsWithTags]) => ({
            sourceTag,
            onlyDependOnLibsWithTags,
          })),
        },
      ],
    },
  },
  {
    files: [
      'libs/*/src/**/*.ts',
      'apps/{management-api,dispatcher,retry-scheduler,audit-log,play}/src/**/*.ts',
    ],
    ignores: [
      '**/*.spec.ts',
      '**/*.conformance.ts',
      '**/proving/**',
      'libs/test-kit/**',
      'libs/local-stack/**',
    ],
    rules: { 'no-restricted-imports': ['error', { paths: testOnly }] },
  },
  {
    // The decisions are pure: no I/O, no framework, no clock, no dice. Time and randomness are arguments.
    files: ['libs/delivery/src/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: ['node:*', '@nestjs/*', 'pg', 'kafkajs', 'undici'] }],
      'no-restricted-globals': ['error', 'process', 'Buffer', 'setTimeout', 'setInterval', 'performance'],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now' },
        { object: 'Math', property: 'random' },
      ],
    },
  },
  prettier,
);
