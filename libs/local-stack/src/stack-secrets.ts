import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LocalStackError } from './errors.js';

/** Made once per data folder. Losing the file makes the sealed secrets in the database unreadable. */
export interface StackSecrets {
  operatorKey: string;
  /** Mixed into the stored digests of API keys. */
  pepper: string;
  /** Key-encryption keys as services take them: `id:base64`. */
  keks: string;
  /** What the audit trees are signed with. */
  auditKeys: string;
}

export function stackSecrets(dataDir: string): StackSecrets {
  const file = path.join(dataDir, 'secrets.json');
  if (existsSync(file)) return readSecrets(file);
  const secrets: StackSecrets = {
    operatorKey: `pho_${randomBytes(32).toString('hex')}`,
    pepper: randomBytes(32).toString('base64'),
    keks: `local-1:${randomBytes(32).toString('base64')}`,
    auditKeys: randomBytes(32).toString('base64'),
  };
  writePrivately(file, secrets);
  return secrets;
}

function readSecrets(file: string): StackSecrets {
  try {
    const { operatorKey, pepper, keks, auditKeys } = JSON.parse(
      readFileSync(file, 'utf8'),
    ) as Partial<StackSecrets>;
    if (operatorKey && pepper && keks && auditKeys) return { operatorKey, pepper, keks, auditKeys };
  } catch {
    // Said below.
  }
  const folder = path.dirname(file);
  throw new LocalStackError(
    'folder_unusable',
    `${file} cannot be read, and without it the data in ${folder} cannot be opened`,
    `put the file back, or start anew: mv ${folder} ${folder}.old`,
  );
}

/** JSON only its owner can read, replaced as a whole: a reader sees the old or the new, and a crash leaves one of them. */
export function writePrivately(file: string, content: unknown): void {
  const unfinished = `${file}.${process.pid}.new`;
  writeFileSync(unfinished, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(unfinished, file);
}
