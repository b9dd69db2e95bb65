import { Failure } from './failure.js';

const unitMs: Record<string, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `15m`, `2h`, `1d`; null when it is none. */
export function durationMs(text: string): number | null {
  const { count, unit } = /^(?<count>\d+(?:\.\d+)?)(?<unit>ms|s|min|m|h|d)$/.exec(text)?.groups ?? {};
  return count === undefined ? null : Math.round(Number(count) * (unitMs[unit ?? ''] ?? NaN));
}

/** `200/s`, `12000/min`: per second; null when it is none. */
export function ratePerSecond(text: string): number | null {
  const { count, unit } = /^(?<count>\d+(?:\.\d+)?)\/(?<unit>s|min|h)$/.exec(text)?.groups ?? {};
  return count === undefined ? null : (Number(count) * 1_000) / (unitMs[unit ?? ''] ?? NaN);
}

/** A point in time as the API takes it: an RFC 3339 time as it is, a duration as so long ago. */
export function instant(option: string, text: string, nowMs: number): string {
  const agoMs = durationMs(text);
  if (agoMs !== null) return new Date(nowMs - agoMs).toISOString();
  if (/^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new Failure('usage', `--${option} ${text} is neither a time nor a duration`, {
    hint: 'such as 2026-03-01T09:30:00Z, or 2h for two hours ago',
  });
}

export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new Failure('usage', `--${option} ${text} is not a whole number from ${least} to ${most}`);
}

/** `7 d 0 h`, `2 h 5 min`, `12.3 s`: the two largest units that matter to a reader. */
export function durationText(ms: number): string {
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
