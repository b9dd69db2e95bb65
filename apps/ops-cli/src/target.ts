import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import type { CliConfig } from './config.js';
import { Failure } from './failure.js';

/**
 * Which installation a command talks to. The first of these that is there:
 *
 *   --profile, or POSTHASTE_PROFILE     a profile of profiles.json
 *   POSTHASTE_URL and POSTHASTE_KEY     together
 *   .posthaste/dev.json                 of the working folder: what `npm start` runs there
 *   the default profile of profiles.json
 *
 * A key is never taken from the command line: every user of a machine can read those.
 */
export interface Target {
  url: string;
  key: string;
  account?: string | undefined;
  /** Where services answer /readyz and /metrics, by name. */
  ops: Record<string, string>;
  from: string;
  /** Others can read the file the key is in. */
  isExposed: boolean;
}

const Url = z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, ''));
const Ops = z.record(z.string(), Url).default({});
const Profile = z.strictObject({
  url: Url,
  key: z.string().min(1),
  account: z.string().optional(),
  ops: Ops,
});
const Profiles = z.strictObject({ default: z.string().optional(), profiles: z.record(z.string(), Profile) });
const DevFile = z.object({
  url: Url,
  tenants: z.array(z.object({ key: z.string() })).min(1),
  ops: Ops,
});

function profilesFile(config: CliConfig): string {
  return path.join(config.XDG_CONFIG_HOME, 'posthaste', 'profiles.json');
}

export function targetOf(config: CliConfig, asked: string | undefined): Target {
  const named = asked ?? config.POSTHASTE_PROFILE;
  if (named !== undefined) return profileTarget(config, named);
  const { POSTHASTE_URL, POSTHASTE_KEY } = config;
  if (POSTHASTE_URL !== undefined || POSTHASTE_KEY !== undefined) {
    return environmentTarget(config, POSTHASTE_URL, POSTHASTE_KEY);
  }
  const devFile = path.join(config.POSTHASTE_DATA_DIR, 'dev.json');
  if (existsSync(devFile)) {
    const { url, tenants, ops } = read(devFile, DevFile);
    return withAccount(config, { url, key: tenants[0]?.key ?? '', ops, ...at(devFile) });
  }
  if (existsSync(profilesFile(config))) {
    const { default: fallback } = read(profilesFile(config), Profiles);
    if (fallback !== undefined) return profileTarget(config, fallback);
  }
  throw new Failure('usage', 'it is not known which installation to talk to', {
    hint: `npm start runs one here; or set POSTHASTE_URL and POSTHASTE_KEY, or write a profile to ${profilesFile(config)}`,
  });
}

function environmentTarget(config: CliConfig, url: string | undefined, key: string | undefined): Target {
  if (url === undefined || key === undefined) {
    throw new Failure('usage', `${url === undefined ? 'POSTHASTE_URL' : 'POSTHASTE_KEY'} is not set`, {
      hint: 'set both, or neither',
    });
  }
  const parsed = Url.safeParse(url);
  if (!parsed.success) throw new Failure('usage', 'POSTHASTE_URL is not an http or https URL');
  return withAccount(config, { url: parsed.data, key, ops: {}, from: 'POSTHASTE_URL', isExposed: false });
}

function profileTarget(config: CliConfig, name: string): Target {
  const file = profilesFile(config);
  if (!existsSync(file)) {
    throw new Failure('usage', `there is no profile ${name}: ${file} does not exist`, {
      hint: 'it holds {"profiles": {"<name>": {"url": "...", "key": "..."}}}; chmod 600',
    });
  }
  const { profiles } = read(file, Profiles);
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (found === undefined) {
    const names = Object.keys(profiles).join(', ') || 'none';
    throw new Failure('usage', `there is no profile ${name} in ${file}`, { hint: `there are: ${names}` });
  }
  const { from, isExposed } = at(file);
  return withAccount(config, { ...found, from: `profile ${name} of ${from}`, isExposed });
}

const withAccount = (config: CliConfig, target: Target): Target => ({
  ...target,
  account: config.POSTHASTE_ACCOUNT ?? target.account,
});

function at(file: string): Pick<Target, 'from' | 'isExposed'> {
  return { from: file, isExposed: (statSync(file).mode & 0o077) !== 0 };
}

/** What is wrong with a file is said by field, never by value: it holds keys. */
function read<S extends z.ZodType>(file: string, schema: S): z.infer<S> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Failure(
      'usage',
      code === undefined ? `${file} is not JSON` : `${file} cannot be read: ${code}`,
    );
  }
  const { success, data, error } = schema.safeParse(json);
  if (success) return data;
  const errors = error.issues.map(({ path: place, message }) => ({
    pointer: `/${place.join('/')}`,
    message,
  }));
  throw new Failure('usage', `${file} is not as it should be`, { errors });
}
