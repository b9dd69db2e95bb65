import { Api, reach } from '../api.js';
import type { Command } from '../command.js';
import { Failure } from '../failure.js';
import { lagMetrics, lagOf, readinessOf } from '../ops.js';
import type { Target } from '../target.js';

/**
 * Looks at a running installation from where a program of its users stands, and says what is wrong and what to do.
 * It changes nothing, and one thing that is wrong does not keep it from looking at the next, unless nothing answers.
 */
export interface Finding {
  check: string;
  state: 'ok' | 'warning' | 'wrong';
  says: string;
  /** What to do about it. */
  fix: string | null;
}

/** Receivers take a signature for five minutes; half of a minute is still harmless, and seldom an accident. */
const SKEW_LIMITS_MS = { warning: 5_000, wrong: 60_000 };

export const doctor: Command = {
  name: 'doctor',
  says: 'look for what is wrong with a running installation, and what to do about it',
  options: [],
  run: async (_, context) => {
    const findings = await examine(context.target(), context.nowMs);
    const titles = ['check', 'state', 'what', 'to do'];
    return {
      kind: 'data',
      json: { ok: !findings.some(isWrong), findings },
      blocks: [
        { titles, rows: findings.map(({ check, state, says, fix }) => [check, state, says, fix ?? '']) },
      ],
      isBad: findings.some(isWrong),
    };
  },
};

const isWrong = ({ state }: Finding): boolean => state === 'wrong';
const ok = (check: string, says: string): Finding => ({ check, state: 'ok', says, fix: null });
const warning = (check: string, says: string, fix: string): Finding => ({
  check,
  state: 'warning',
  says,
  fix,
});
const wrong = (check: string, says: string, fix: string): Finding => ({ check, state: 'wrong', says, fix });

async function examine(target: Target, nowMs: () => number): Promise<Finding[]> {
  const [server, api, services] = await Promise.all([
    examineServer(target, nowMs),
    examineKey(target),
    Promise.all(Object.entries(target.ops).map(([service, url]) => examineService(service, url))),
  ]);
  const isThere = server.every(({ check, state }) => check !== 'server' || state === 'ok');
  const ops = services.length > 0 ? services.flat() : [noOps(target)];
  return [...examineSettings(target), ...server, ...(isThere ? api : []), ...ops];
}

function examineSettings({ url, from, isExposed }: Target): Finding[] {
  const { protocol, hostname } = new URL(url);
  const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  const findings = [ok('settings', from)];
  if (protocol === 'http:' && !isLocal) {
    findings.push(warning('settings', `the key goes to ${hostname} unencrypted`, 'use its https URL'));
  }
  if (isExposed) {
    const fix = 'chmod 600 it, and make a new key if others use this machine';
    findings.push(warning('settings', 'others can read the file the key is in', fix));
  }
  return findings;
}

async function examineServer({ url }: Target, nowMs: () => number): Promise<Finding[]> {
  const askedAt = nowMs();
  try {
    const answer = await reach(`${url}/openapi.json`);
    const answeredAt = nowMs();
    const { info } = (await answer.json()) as { info?: { title?: string; version?: string } };
    if (info?.title !== 'Posthaste') throw new SyntaxError('not ours');
    return [
      ok('server', `${url} is Posthaste ${info.version ?? ''}`),
      examineClock(answer.headers.get('date'), askedAt, answeredAt),
    ];
  } catch (error) {
    if (error instanceof Failure) return [wrong('server', error.message, 'start it, or correct its URL')];
    const fix = 'use the URL of the REST API, without a path';
    return [wrong('server', `${url} answers, and is not Posthaste`, fix)];
  }
}

/** The header counts whole seconds: what it says is true of the second that began with it. */
export function examineClock(date: string | null, askedAt: number, answeredAt: number): Finding {
  const theirs = Date.parse(date ?? '');
  if (Number.isNaN(theirs))
    return warning('clock', 'the server does not tell its time', 'ask its proxy for Date');
  const aheadMs = Math.max(0, theirs - answeredAt);
  const behindMs = Math.max(0, askedAt - (theirs + 1_000));
  const skewMs = Math.max(aheadMs, behindMs);
  const side = aheadMs > 0 ? 'ahead of' : 'behind';
  const says = `the server is ${Math.round(skewMs / 1_000)} s ${side} this machine`;
  const fix = 'set both clocks by NTP: receivers refuse signatures that are five minutes off';
  if (skewMs >= SKEW_LIMITS_MS.wrong) return wrong('clock', says, fix);
  if (skewMs >= SKEW_LIMITS_MS.warning) return warning('clock', says, fix);
  return ok('clock', 'the server and this machine agree');
}

async function examineKey(target: Target): Promise<Finding[]> {
  const path = target.account === undefined ? '/v1/accounts?limit=1' : `/v1/accounts/${target.account}`;
  try {
    await new Api(target).get(path);
    return [ok('key', 'is valid, and can read accounts')];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { code } = error.more;
    if (code === 'unauthenticated') {
      return [wrong('key', 'is not valid (any more)', `correct it in ${target.from}, or make a new one`)];
    }
    if (code === 'forbidden') {
      const fix = 'use a tenant key with accounts:read; an account key also needs --profile with its account';
      return [wrong('key', `is valid, and not enough: ${error.message}`, fix)];
    }
    return [wrong('key', error.message, 'see the services below, and their logs')];
  }
}

async function examineService(service: string, url: string): Promise<Finding[]> {
  const readiness = await readinessOf(url);
  switch (readiness.kind) {
    case 'away':
      return [wrong(service, readiness.why, 'start it, or correct its ops URL; its log says why it ended')];
    case 'not ready':
      return Object.entries(readiness.failures).map(([check, why]) =>
        wrong(service, `is not ready: ${check}: ${why}`, fixes[check] ?? 'its log says more'),
      );
    case 'ready':
      return [ok(service, 'is ready'), ...(await examineLag(service, url))];
  }
}

const fixes: Record<string, string> = {
  database: 'start PostgreSQL, or correct DATABASE_URL',
  log: 'start the broker, or correct KAFKA_BROKERS',
  service: 'it is starting; ask again in a moment',
};

async function examineLag(service: string, url: string): Promise<Finding[]> {
  const lags = await lagOf(service, url).catch(() => []);
  return lags.flatMap(({ metric, value, says }) => {
    const most = lagMetrics[metric]?.most;
    if (most === undefined || value <= most) return [];
    return [
      wrong(service, `${says}: ${Math.round(value)}`, 'its log says what it waits for; see posthaste lag'),
    ];
  });
}

function noOps({ from }: Target): Finding {
  const fix = 'name them in a profile: "ops": {"dispatcher": "http://host:port", ...}';
  return warning('services', `${from} does not say where their ops ports are; they were not looked at`, fix);
}
