import {
  loadPackageDefinition,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceClientConstructor,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import {
  type DeliveryAttempted,
  DISPATCH_PACKAGE,
  DISPATCH_SERVICE,
  dispatchLoader,
  dispatchProtoPath,
  type HistoryAttempt,
  type SendTestReply,
  type SendTestRequest,
} from '@posthaste/contracts';
import type { Logger } from '@posthaste/runtime';
import type { TestSends } from './test-sends.js';

/** Serves the gRPC interface `Dispatch` until closed; what is under way then is answered UNAVAILABLE. */
export async function serveDispatch(
  address: string,
  tests: TestSends,
  logger: Logger,
): Promise<{ port: number; close(): void }> {
  const server = new Server();
  server.addService(dispatchService(), {
    SendTest: (
      { request }: ServerUnaryCall<Partial<SendTestRequest>, SendTestReply>,
      answer: sendUnaryData<SendTestReply>,
    ): void => {
      sendTest(tests, request).then(
        (reply) => ('attempt' in reply ? answer(null, reply) : answer(reply)),
        (error: unknown) => {
          logger.error({ err: error }, 'dispatch.test_failed');
          answer({ code: status.INTERNAL, details: 'the test failed for a reason on our side' });
        },
      );
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, close: () => server.forceShutdown() };
}

async function sendTest(
  tests: TestSends,
  // gRPC leaves out what is empty.
  { tenant = '', endpoint = '', version = 0, event_type = '', payload }: Partial<SendTestRequest>,
): Promise<SendTestReply | { code: status; details: string }> {
  const asked = { tenant, endpoint, version, event_type, payload: payload ?? Buffer.alloc(0) };
  const result = await tests.send(asked);
  switch (result.kind) {
    case 'attempted':
      return { attempt: replyOf(result.attempt) };
    case 'busy':
      return { code: status.RESOURCE_EXHAUSTED, details: 'too many tests are under way' };
    case 'not_ready':
      return { code: status.UNAVAILABLE, details: 'the endpoint is not known here yet' };
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
    endpoint_version: attempt.endpointVersion,
    profile: attempt.profile,
  };
}

function dispatchService(): ServiceClientConstructor['service'] {
  const definition = loadPackageDefinition(loadSync(dispatchProtoPath(), dispatchLoader));
  const found = `${DISPATCH_PACKAGE}.${DISPATCH_SERVICE}`
    .split('.')
    .reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], definition);
  return (found as ServiceClientConstructor).service;
}
