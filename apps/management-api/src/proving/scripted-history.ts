import { type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import {
  AUDIT_TREE_SERVICE,
  DISPATCH_PACKAGE,
  DISPATCH_SERVICE,
  grpcLoader,
  HISTORY_PACKAGE,
  HISTORY_SERVICE,
  protoPath,
  REPLAYS_SERVICE,
} from '@posthaste/contracts';

type Reply = (request: Record<string, unknown>) => object;

/**
 * The other end of a gRPC interface, for what the real one does only on bad days, and to see exactly what it is asked. A
 * method without a reply never answers; a reply that throws is an error of the code it has, else UNAVAILABLE.
 */
class ScriptedService {
  readonly asked: { method: string; request: Record<string, unknown> }[] = [];
  private server: Server | undefined;
  private port = 0;

  constructor(
    private readonly served: { proto: string; names: string[] },
    readonly replies: Record<string, Reply>,
  ) {}

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** On the same port each time. */
  async start(): Promise<void> {
    const server = new Server();
    for (const name of this.served.names) {
      const { service } = serviceIn(this.served.proto, name);
      const methods = Object.keys(service).map((method) => [
        method,
        (call: ServerUnaryCall<Record<string, unknown>, object>, answer: sendUnaryData<object>) =>
          this.answer(method, call.request, answer),
      ]);
      server.addService(service, Object.fromEntries(methods) as Record<string, () => void>);
    }
    this.port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(this.address, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    this.server = server;
  }

  stop(): void {
    this.server?.forceShutdown();
    this.server = undefined;
  }

  private answer(method: string, request: Record<string, unknown>, answer: sendUnaryData<object>): void {
    this.asked.push({ method, request });
    const reply = this.replies[method];
    if (reply === undefined) return;
    try {
      answer(null, reply(request));
    } catch (error) {
      const { code = status.UNAVAILABLE } = error as { code?: status };
      answer({ code, details: String(error) });
    }
  }
}

export class ScriptedHistory extends ScriptedService {
  constructor(replies: Record<string, Reply> = {}) {
    const names = [HISTORY_SERVICE, REPLAYS_SERVICE, AUDIT_TREE_SERVICE].map(
      (name) => `${HISTORY_PACKAGE}.${name}`,
    );
    super({ proto: protoPath('history'), names }, replies);
  }
}

export class ScriptedDispatch extends ScriptedService {
  constructor(replies: Record<string, Reply> = {}) {
    super({ proto: protoPath('dispatch'), names: [`${DISPATCH_PACKAGE}.${DISPATCH_SERVICE}`] }, replies);
  }
}

function serviceIn(proto: string, fullName: string): ServiceClientConstructor {
  const definition = loadPackageDefinition(loadSync(proto, grpcLoader));
  const found = fullName
    .split('.')
    .reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], definition);
  return found as ServiceClientConstructor;
}
