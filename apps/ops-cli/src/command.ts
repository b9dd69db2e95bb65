import type { Api } from './api.js';
import type { Answer } from './output.js';
import type { Target } from './target.js';

/** One thing the program can do: its line of the help, its arguments, and what it does. */
export interface Command {
  /** One word, or two: `status`, `deliveries cancel`. */
  name: string;
  says: string;
  /** What stands behind the name, as the help shows it: `<id>...`. */
  takes?: { words: string; least: number; most: number };
  options: OptionName[];
  run(given: Given, context: Context): Promise<Answer>;
}

export interface Given {
  words: string[];
  options: Partial<Record<OptionName, string>>;
  dryRun: boolean;
  yes: boolean;
}

export interface Context {
  /** Found out when it is asked for: some commands need no server. */
  target: () => Target;
  api: () => Api;
  nowMs: () => number;
  /** A line about what is going on, for people who watch. */
  progress: (line: string) => void;
  /** From now on Ctrl-C aborts this signal instead of the program; pressed again, it ends it as ever. */
  interrupted: () => AbortSignal;
}

/** Every option means the same wherever it is taken. */
export const options = {
  account: { value: 'uid', says: "an account's uid or id; the only one when there is one" },
  endpoint: { value: 'id', says: 'only of this endpoint' },
  status: { value: 'status', says: 'only with this status' },
  outcome: { value: 'outcome', says: 'only succeeded, or only failed ones' },
  'error-class': { value: 'class', says: 'only what failed for this reason, such as timeout' },
  'status-code': { value: 'n', says: 'only what was answered with this HTTP status' },
  'event-type': { value: 'name', says: 'only of this event type' },
  message: { value: 'id', says: 'only of this message' },
  channel: { value: 'channel', says: 'only of messages with this channel' },
  tag: { value: 'tag', says: 'only of messages with this tag' },
  payload: { value: 'path=value', says: "only with this in the payload: '$.order.id=42'" },
  'id-prefix': { value: 'id', says: 'only ids that begin so' },
  resolution: { value: 'step', says: 'minute, hour or day; minute when not given' },
  since: {
    value: 'time',
    says: 'accepted (attempts: begun) at or after: an RFC 3339 time, or 2h for two hours ago',
  },
  until: { value: 'time', says: 'before: the same' },
  at: { value: 'time', says: 'as it was then: an RFC 3339 time, or 2h for two hours ago' },
  attempt: { value: 'id', says: 'as it was for this attempt' },
  version: { value: 'n', says: 'this version of it' },
  from: { value: 'n', says: 'the sequence to begin at, or the older version to compare' },
  to: { value: 'n', says: 'the newer version; the latest when not given' },
  limit: { value: 'n', says: 'at most so many; 20 of a list when not given' },
  cursor: { value: 'cursor', says: 'go on where a list ended' },
  file: { value: 'file', says: 'check this export, and ask no server' },
  head: { value: 'file', says: 'a head saved before: it must still be the beginning' },
  save: { value: 'file', says: 'keep the head there when all is sound' },
  outage: { value: '2h', says: 'how long the endpoint is away' },
  rate: { value: '200/s', says: 'how many messages, per s, min or h' },
  policy: { value: 'file', says: 'a retry policy as JSON, or the name of a preset; ada when not given' },
  'dry-run': { value: null, says: 'say what would be done, and do nothing' },
  yes: { value: null, says: 'really do it to more than one' },
} as const satisfies Record<string, { value: string | null; says: string }>;
export type OptionName = keyof typeof options;

export const globalOptions = {
  profile: { value: 'name', says: 'an installation of profiles.json' },
  json: { value: null, says: 'JSON, as when the output is not a terminal' },
  table: { value: null, says: 'aligned text, as on a terminal' },
  help: { value: null, says: 'what there is to know about a command' },
} as const satisfies Record<string, { value: string | null; says: string }>;
