import {
  loadPackageDefinition,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceClientConstructor,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync, type Options } from '@grpc/proto-loader';

/** A refusal the caller is told of; anything else that is thrown is INTERNAL, and its reason stays here. */
export class GrpcRefusal extends Error {
  constructor(
    readonly code: 'RESOURCE_EXHAUSTED' | 'UNAVAILABLE' | 'DEADLINE_EXCEEDED',
    message: string,
  ) {
    super(message);
  }
}

export interface GrpcService {
  /** As in the .proto. */
  package: string;
  service: string;
  protoPath: string;
  loader: Options;
  /** By the method's name. gRPC leaves out of a request what is empty. */
  methods: Record<string, (request: object) => Promise<object>>;
  /** A method failed for a reason on our side. */
  onError: (error: unknown, method: string) => void;
}

/**
 * Serves a gRPC interface with unary methods until closed; what is under way then is answered UNAVAILABLE. For services
 * without Nest: a whole application for one method would cost more memory than the rest of them.
 */
export async function serveGrpc(
  address: string,
  { methods, onError, ...where }: GrpcService,
): Promise<{ port: number; close(): void }> {
  const server = new Server();
  const handlers: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(methods)) {
    handlers[name] = ({ request }: ServerUnaryCall<object, object>, answer: sendUnaryData<object>): void => {
      method(request).then(
        (reply) => answer(null, reply),
        (error: unknown) => {
          if (error instanceof GrpcRefusal) {
            answer({ code: status[error.code], details: error.message });
            return;
          }
          onError(error, name);
          answer({ code: status.INTERNAL, details: 'it failed for a reason on our side' });
        },
      );
    };
  }
  server.addService(definitionOf(where), handlers);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, close: () => server.forceShutdown() };
}

function definitionOf({
  package: packageName,
  service,
  protoPath,
  loader,
}: Pick<GrpcService, 'package' | 'service' | 'protoPath' | 'loader'>): ServiceClientConstructor['service'] {
  const definition = loadPackageDefinition(loadSync(protoPath, loader));
  const found = `${packageName}.${service}`
    .split('.')
    .reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], definition);
  return (found as ServiceClientConstructor).service;
}
