import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';

/** What the command line reads from its environment; nothing else in it looks there. */
export const CliConfig = z.object({
  POSTHASTE_URL: z.string().optional().describe('The REST API to talk to; needs POSTHASTE_KEY'),
  POSTHASTE_KEY: z.string().optional().describe('A tenant or account key'),
  POSTHASTE_PROFILE: z.string().optional().describe('A profile, instead of --profile'),
  POSTHASTE_ACCOUNT: z.string().optional().describe('The account that lists are about, instead of --account'),
  POSTHASTE_DATA_DIR: z.string().default('.posthaste').describe('Where npm start leaves dev.json'),
  XDG_CONFIG_HOME: z
    .string()
    .default(path.join(os.homedir(), '.config'))
    .describe('Holds posthaste/profiles.json'),
  NO_COLOR: z.string().optional().describe('Anything: no colours'),
  TERM: z.string().optional().describe('dumb: no colours'),
});
export type CliConfig = z.infer<typeof CliConfig>;

/** An empty variable is an unset one. */
export function cliConfig(env: Record<string, string | undefined> = process.env): CliConfig {
  return CliConfig.parse(Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '')));
}
