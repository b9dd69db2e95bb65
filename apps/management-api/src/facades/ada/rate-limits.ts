import { Problem } from '@posthaste/runtime';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';
import { facadeOf } from '../facade-of.js';
import { ada } from './facade.js';

/**
 * Ada's limits on how often a key may ask (https://docs.ada.cx/reference/introduction/limits), with the headers that its
 * clients miss there: `RateLimit-*` on every answer, `Retry-After` on a 429. They are counted in this process: behind N
 * replicas a key may ask up to N times as often. What one window refuses does not count in the longer ones, so a
 * client in a loop does not use up its day.
 */
const SECONDS = { s: 1, min: 60, day: 86_400 };

/** The limits as configured, such as `10/s,100/min`, shortest first; none for `off`. */
function windowsOf(limits: string): RateLimiterMemory[] {
  if (limits === 'off') return [];
  return limits
    .split(',')
    .map((limit) => {
      const [points, unit] = limit.split('/') as [string, keyof typeof SECONDS];
      return { points: Number(points), duration: SECONDS[unit] };
    })
    .sort((a, b) => a.duration - b.duration)
    .map((window) => new RateLimiterMemory(window));
}

interface Standing {
  limit: number;
  left: number;
  resetMs: number;
  refused: boolean;
}

/** After the key is known, and before the body is read. */
export function limitAdaRequests(fastify: FastifyInstance, limits: string): void {
  const windows = windowsOf(limits);
  if (windows.length === 0) return;
  fastify.addHook('onRequest', async (request, reply) => {
    const { principal } = request;
    if (principal?.kind !== 'account' || facadeOf(request) !== ada) return;
    const standing = await standingOf(windows, principal.key);
    tell(reply, standing);
    if (!standing.refused) return;
    throw new Problem('too_many_requests', undefined, [], secondsOf(standing));
  });
}

/** The window that refuses the request, or else the one with the fewest requests left. */
async function standingOf(windows: RateLimiterMemory[], key: string): Promise<Standing> {
  let tightest: Standing | undefined;
  for (const window of windows) {
    const found = await window.consume(key).then(
      (result) => standing(window, result, false),
      (result: RateLimiterRes) => standing(window, result, true),
    );
    if (found.refused) return found;
    if (tightest === undefined || found.left < tightest.left) tightest = found;
  }
  if (tightest === undefined) throw new Error('there is no limit');
  return tightest;
}

function standing(window: RateLimiterMemory, result: RateLimiterRes, refused: boolean): Standing {
  return { limit: window.points, left: result.remainingPoints, resetMs: result.msBeforeNext, refused };
}

function tell(reply: FastifyReply, standing: Standing): void {
  reply
    .header('ratelimit-limit', standing.limit)
    .header('ratelimit-remaining', standing.left)
    .header('ratelimit-reset', secondsOf(standing));
}

const secondsOf = ({ resetMs }: Standing): number => Math.max(1, Math.ceil(resetMs / 1_000));
