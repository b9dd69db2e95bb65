import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';

/**
 * The verifier in Java, compiled into a folder: answers with what it says of an export. Undefined, with a line that says
 * so, where there is no JDK; in CI, which has one for Kafka, that is an error.
 */
export function verifierInJava(folder: string): ((args: string[]) => string) | undefined {
  if (majorOf('javac') < 17) {
    const reason = 'no JDK 17 or later for the independent verifier of the audit tree';
    if (process.env['CI']) throw new Error(`${reason}; in CI it must run`);
    process.stderr.write(`skipped: ${reason}\n`);
    return undefined;
  }
  const source = path.join(import.meta.dirname, 'VerifyAudit.java');
  execFileSync('javac', ['-encoding', 'UTF-8', '-d', folder, source], { stdio: 'pipe' });
  return (args) => {
    const options = ['-XX:TieredStopAtLevel=1', '-Xshare:auto', '-cp', folder];
    const { stdout, stderr } = spawnSync('java', [...options, 'VerifyAudit', ...args], { encoding: 'utf8' });
    if (/^(sound|broken) /.test(stdout)) return stdout.trim();
    throw new Error(`the verifier in Java says nothing: ${stderr}`);
  };
}

function majorOf(program: string): number {
  const { stdout, stderr } = spawnSync(program, ['-version'], { encoding: 'utf8' });
  return Number(/javac (\d+)/.exec(`${stdout}${stderr}`)?.[1] ?? 0);
}
