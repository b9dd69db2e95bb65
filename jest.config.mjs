import { readFileSync } from 'node:fs';

const swc = JSON.parse(readFileSync(new URL('./.swcrc', import.meta.url), 'utf8'));

/** One configuration for every project; tools/jest.mjs chooses which suites run. */
export default {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  // Only against tests that hang: a machine that is busy with other things must not fail one.
  testTimeout: 60_000,
  setupFiles: ['<rootDir>/jest.setup.mjs'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { ...swc, swcrc: false }] },
  moduleNameMapper: { '^@posthaste/([^/]+)$': '<rootDir>/libs/$1/src/index.ts' },
  resolver: '<rootDir>/tools/jest-resolver.cjs',
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.nx', '<rootDir>/.posthaste'],
  cacheDirectory: '<rootDir>/.nx/jest-cache',
};
