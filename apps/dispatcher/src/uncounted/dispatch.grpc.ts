import {
  type DeliveryAttempted,
  DISPATCH_PACKAGE,
  DISPATCH_SERVICE,
  grpcLoader,
  type HistoryAttempt,
  protoPath,
  type SendTestReply,
  type SendTestRequest,
} from '@posthaste/contracts';
import { GrpcRefusal, type Logger, serveGrpc } from '@posthaste/runtime';
import type { TestSends } from './test-sends.js';

/** Serves the gRPC interface `Dispatch` until closed. */
export async function serveDispatch(
  address: string,
  tests: TestSends,
  logger: Logger,
): Promise<{ port: number; close(): void }> {
  return serveGrpc(address, {
    package: DISPATCH_PACKAGE,
    service: DISPATCH_SERVICE,
    protoPath: protoPath('dispatch'),
    loader: grpcLoader,
    methods: { SendTest: (request) => sendTest(tests, request) },
    onError: (error, method) => logger.error({ err: error, method }, 'dispatch.call_failed'),
  });
}

async function sendTest(
  tests: TestSends,
  // gRPC leaves out what is empty.
  { tenant = '', endpoint = '', version = 0, event_type = '', payload, subject }: Partial<SendTestRequest>,
): Promise<SendTestReply> {
  const asked = { tenant, endpoint, version, event_type, payload: payload ?? Buffer.alloc(0) };
  const result = await tests.send({
    ...asked,
    subject: subject && { uid: subject.uid ?? '', name: subject.name ?? '' },
  });
  switch (result.kind) {
    case 'attempted':
      return { attempt: replyOf(result.attempt) };
    case 'busy':
      throw new GrpcRefusal('RESOURCE_EXHAUSTED', 'too many tests are under way');
    case 'not_ready':
      throw new GrpcRefusal('UNAVAILABLE', 'the endpoint is not known here yet');
  }
}

/** As history would tell it, had it been counted. */
function replyOf(attempt: DeliveryAttempted): HistoryAttempt {
  const { error, request, response } = attempt;
  return {
    id: attempt.id,
    delivery: attempt.delivery,
    number: attempt.attempt,
    trigger: 'test',
    started_at: attempt.startedAt,
    duration_ms: attempt.timings.totalMs,
    outcome: attempt.outcome,
    error_class: error?.class,
    error_message: error?.message,
    request_url: request.url,
    request_headers_json: JSON.stringify(request.headers),
    response_status: response?.status,
    response_headers_json: response && JSON.stringify(response.headers),
    response_body: response && Buffer.from(response.body, 'base64'),
    response_body_truncated: response?.bodyTruncated,
    address: attempt.address,
    timings_json: JSON.stringify(attempt.timings),
    tls_json: attempt.tls && JSON.stringify(attempt.tls),
    endpoint_version: attempt.endpointVersion,
    profile: attempt.profile,
  };
}
