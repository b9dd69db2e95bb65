import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { LocalStackError } from './errors.js';
import { kafkaPom } from './kafka-templates.js';

const ATTEMPTS = 3;
const MAVEN_TIMEOUT_MS = 600_000;
const run = promisify(execFile);

export const defaultKafkaCacheDir = (): string => path.join(os.homedir(), '.cache', 'posthaste-kafka');

/** Java 17 or later, and the broker's jars or the Maven that can fetch them. */
export function kafkaAvailable(cacheDir = defaultKafkaCacheDir()): boolean {
  return javaMajor() >= 17 && (isFilled(path.join(cacheDir, 'libs')) || succeeds('mvn'));
}

/**
 * The class path of the broker. The jars are copied beside their place and then renamed, so the folder is either
 * absent or whole, whoever dies or fills it at the same time.
 */
export async function kafkaClassPath(cacheDir: string, log: (line: string) => void): Promise<string> {
  const libs = path.join(cacheDir, 'libs');
  if (!isFilled(libs)) {
    mkdirSync(cacheDir, { recursive: true });
    const fresh = mkdtempSync(path.join(cacheDir, 'filling-'));
    try {
      await copyJars(fresh, log);
      writeFileSync(markOf(fresh), kafkaPom);
      rmSync(libs, { recursive: true, force: true });
      renameSync(fresh, libs);
    } catch (error) {
      // Another process may have been quicker; then its folder is as good as ours.
      if (!isFilled(libs)) throw error;
    } finally {
      rmSync(fresh, { recursive: true, force: true });
    }
  }
  return path.join(libs, '*');
}

async function copyJars(target: string, log: (line: string) => void): Promise<void> {
  const project = mkdtempSync(path.join(os.tmpdir(), 'posthaste-kafka-pom-'));
  writeFileSync(path.join(project, 'pom.xml'), kafkaPom);
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${target}`];
  try {
    for (let attempt = 1; ; attempt++) {
      log(`fetching Kafka with Maven (attempt ${attempt} of ${ATTEMPTS})`);
      try {
        await run('mvn', ['-q', '-B', '-ntp', ...goal], { cwd: project, timeout: MAVEN_TIMEOUT_MS });
        return;
      } catch (error) {
        if (attempt < ATTEMPTS && (error as NodeJS.ErrnoException).code !== 'ENOENT') continue;
        const said = (error as { stdout?: string }).stdout ?? '';
        const message = `Kafka could not be fetched: ${(error as Error).message} ${said.slice(-2_000)}`;
        throw new LocalStackError(
          'no_binaries',
          message,
          'install Maven 3.8 or later, and see whether it is online',
        );
      }
    }
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}

const markOf = (libs: string): string => path.join(libs, 'pom.xml');

/** Filled from this very list of jars, not from that of an older release. */
function isFilled(libs: string): boolean {
  return existsSync(markOf(libs)) && readFileSync(markOf(libs), 'utf8') === kafkaPom;
}

function javaMajor(): number {
  const { stdout, stderr } = spawnSync('java', ['-version'], { encoding: 'utf8' });
  return Number(/version "(\d+)/.exec(`${stdout}${stderr}`)?.[1] ?? 0);
}

const succeeds = (program: string): boolean =>
  spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
