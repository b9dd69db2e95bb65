import { publishLimits } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';
import { type Logger, Problem, startSpan, type Telemetry, traceparentOf } from '@posthaste/runtime';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { sendProblem } from '../http/problem-filter.js';
import { unsupportedMediaType } from '../http/refusals.js';
import { refuseUnknownEventTypes } from './accept-messages.js';
import { AccountGate } from './account-gate.js';
import { readBatch, readEnvelope } from './envelope.js';
import { checkIdempotencyKey, Idempotency, requestFingerprint } from './idempotency.js';
import {
  type PublishRequest,
  RAW_FORM_HEADER,
  rawFormFields,
  type Reading,
  readRawForm,
} from './publish-request.js';
import { type Outcome, Publisher } from './publisher.js';
import { forgetOldKeys } from './sql/forget-keys.js';

/**
 * The routes that accept messages: one message, as an envelope or raw, and a batch. Plain Fastify handlers over a body
 * of bytes, beside Nest's controllers (docs/adr/0004).
 *
 * A 202 means that the log holds the message on all its in-sync replicas. A 4xx means that nothing was accepted; a 503
 * that nothing is known to have been. No line is logged per message.
 */
export interface PublishDeps {
  /** A pool of its own (`publishPool`): configuration requests must not hold up a publish. */
  pool: pg.Pool;
  log: EventLog;
  telemetry: Pick<Telemetry, 'meter' | 'tracing'>;
  logger: Logger;
  pepper: string;
  operatorKey: string;
  now?: () => number;
}

/**
 * What the pool of the publish path needs beside its URL. Its statements touch a few rows by their primary keys each:
 * a plan made while the tables were small would scan them long after they have grown, and one made anew for every
 * execution, as PostgreSQL prefers for arrays, costs several times what the statement does.
 */
export const publishPool = {
  name: 'management-api publish',
  max: 6,
  settings: {
    enable_seqscan: 'off',
    enable_hashjoin: 'off',
    enable_mergejoin: 'off',
    plan_cache_mode: 'force_generic_plan',
  },
} as const;

const SINGLE = '/v1/accounts/:account/messages';
const BATCH = '/v1/accounts/:account/messages/batch';
const FORGET_EVERY_MS = 600_000;
const JSON_TYPE = /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;
const NO_BODY = Buffer.alloc(0);

type PublishCall = FastifyRequest<{ Params: { account: string } }>;
type Read = (request: PublishCall, body: Buffer) => Reading<PublishRequest[]>;

export function registerPublish(fastify: FastifyInstance, deps: PublishDeps): void {
  const { pool, logger, telemetry, now = Date.now } = deps;
  const gate = new AccountGate({ ...deps, now });
  const publisher = new Publisher(deps.log, new Idempotency(pool), now, (error) =>
    logger.warn({ err: error }, 'publish.idempotency_failed'),
  );
  const measures = measuresOf(telemetry);

  const handler = (scope: string, read: Read) => {
    return async (request: PublishCall, reply: FastifyReply): Promise<FastifyReply> => {
      const began = performance.now();
      const span = telemetry.tracing
        ? startSpan('message.publish', 'server', request.headers.traceparent?.toString())
        : undefined;
      try {
        const outcome = await answer(request, scope, read, span && traceparentOf(span));
        if (outcome instanceof Problem) return refuse(reply, request, outcome);
        measures.accepted(outcome.accepted, performance.now() - began);
        if (outcome.replayed) reply.header('idempotency-replayed', 'true');
        return reply
          .code(outcome.status)
          .header('content-type', 'application/json; charset=utf-8')
          .send(outcome.body);
      } finally {
        span?.end();
      }
    };
  };

  const answer = async (
    request: PublishCall,
    scope: string,
    read: Read,
    trace: string | undefined,
  ): Promise<Outcome | Problem> => {
    const { headers } = request;
    const body = Buffer.isBuffer(request.body) ? request.body : NO_BODY;
    // The body is read while the database is asked.
    const admitting = gate.admit(headers.authorization, request.params.account);
    const reading = read(request, body);
    const admission = await admitting;
    if (admission instanceof Problem) return admission;
    if (!reading.ok) return reading.problem;
    const key = headers['idempotency-key'];
    const batch = scope === BATCH;
    const pointerOf = (index: number): string => (batch ? `/messages/${index}/event_type` : '/event_type');
    const refusal = checkIdempotencyKey(key) ?? refuseUnknownEventTypes(admission, reading.value, pointerOf);
    if (refusal) return refusal;
    const idempotency =
      key === undefined
        ? undefined
        : {
            scope,
            key: String(key),
            fingerprint: requestFingerprint(scope, admission.account, rawFormFields(headers), body),
          };
    return publisher.publish({ admission, requests: reading.value, batch, idempotency, trace });
  };

  const refuse = (reply: FastifyReply, request: FastifyRequest, problem: Problem): FastifyReply => {
    // An outage is a state, told by metrics and the gate's own line; not an error of each request.
    sendProblem(reply, request, problem);
    return reply;
  };

  void fastify.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      '*',
      { parseAs: 'buffer', bodyLimit: publishLimits.bodyBytes },
      (_, body, done) => done(null, body),
    );
    scope.setErrorHandler((error, request, reply) => sendProblem(reply, request, error, logger));
    scope.post(SINGLE, handler(SINGLE, readSingle));
    scope.post(BATCH, handler(BATCH, readMany));
    const forgetting = setInterval(() => {
      forgetOldKeys(pool).catch((error: unknown) =>
        logger.warn({ err: error }, 'publish.idempotency_failed'),
      );
    }, FORGET_EVERY_MS);
    forgetting.unref();
    scope.addHook('onClose', async () => clearInterval(forgetting));
  });
}

function readSingle({ headers }: PublishCall, body: Buffer): Reading<PublishRequest[]> {
  const raw = headers[RAW_FORM_HEADER] !== undefined;
  if (!raw && !JSON_TYPE.test(headers['content-type'] ?? '')) {
    const hint = `Send application/json, or any content type with the header ${RAW_FORM_HEADER}.`;
    return { ok: false, problem: unsupportedMediaType(hint) };
  }
  const reading = raw ? readRawForm(headers, body) : readEnvelope(body);
  return reading.ok ? { ok: true, value: [reading.value] } : reading;
}

function readMany({ headers }: PublishCall, body: Buffer): Reading<PublishRequest[]> {
  if (JSON_TYPE.test(headers['content-type'] ?? '')) return readBatch(body);
  return { ok: false, problem: unsupportedMediaType('A batch is sent as application/json.') };
}

/** Milliseconds; the goal is less than one at 200 messages a second. */
const DURATION_BUCKETS_MS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 125, 250, 500, 1_000, 2_500, 10_000];

function measuresOf({ meter }: Pick<Telemetry, 'meter'>): {
  accepted(messages: number, durationMs: number): void;
} {
  const accepted = meter.createCounter('posthaste.messages.accepted', {
    description: 'Messages the log has acknowledged',
  });
  const duration = meter.createHistogram('posthaste.publish.duration_ms', {
    description: 'From the read request to its answer, for accepted requests',
    unit: 'ms',
    advice: { explicitBucketBoundaries: DURATION_BUCKETS_MS },
  });
  return {
    accepted: (messages, durationMs) => {
      if (messages > 0) accepted.add(messages);
      duration.record(durationMs);
    },
  };
}
