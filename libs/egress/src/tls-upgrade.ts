import { isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { TlsFacts } from '@posthaste/contracts';
import { LRUCache } from 'lru-cache';
import { EgressError } from './failure.js';

/** A certificate to show: PEM chain and key. Whoever changes either changes the id. */
export interface ClientCertificate {
  id: string;
  chain: string;
  key: string;
}

type Upgrade = (
  socket: Socket,
  host: string,
  port: number,
  signal: AbortSignal,
) => Promise<{ socket: TLSSocket; tls: TlsFacts }>;

const MAX_SESSIONS = 1_000;
const MAX_NAME_CHARS = 253;

/**
 * TLS 1.2 or later over a connection that is there. One upgrade has one identity: a session agreed with a client
 * certificate, resumed without it, would still be that client's.
 */
export function tlsUpgrade(options: {
  ca?: string | undefined;
  certificate?: ClientCertificate | undefined;
}): Upgrade {
  const sessions = new LRUCache<string, Buffer>({ max: MAX_SESSIONS });
  let secureContext: SecureContext | undefined;
  return async (socket, host, port, signal) => {
    secureContext ??= contextOf(options);
    const server = `${host}:${port}`;
    const session = sessions.get(server);
    const secured = connectTls({
      socket,
      host,
      secureContext,
      ALPNProtocols: ['http/1.1'],
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(session ? { session } : {}),
    });
    secured.on('session', (fresh) => sessions.set(server, fresh));
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => {
        secured.destroy();
        reject(signal.reason as Error);
      });
      secured.once('secureConnect', resolve);
      // For as long as the socket lives: whoever takes it over listens a little later.
      secured.on('error', (error) => {
        sessions.delete(server);
        reject(hungUp(error) ? new EgressError('tls_handshake', 'ECONNRESET') : error);
      });
    });
    return { socket: secured, tls: factsOf(secured) };
  };
}

function contextOf({
  ca,
  certificate,
}: {
  ca?: string | undefined;
  certificate?: ClientCertificate | undefined;
}): SecureContext {
  return createSecureContext({
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...(certificate ? { cert: certificate.chain, key: certificate.key } : {}),
  });
}

function hungUp({ code }: Error & { code?: string }): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE';
}

function factsOf(socket: TLSSocket): TlsFacts {
  const { subject, subjectaltname = '' } = socket.getPeerCertificate();
  // A certificate may have no common name, or several; most public ones have only the names they are valid for.
  const [common] = [(subject as Partial<typeof subject> | undefined)?.CN ?? []].flat();
  const name = common ?? /DNS:([^,]*)/.exec(subjectaltname)?.[1] ?? '';
  return {
    version: socket.getProtocol() ?? '',
    certificate: name.slice(0, MAX_NAME_CHARS).replaceAll('\0', ''),
  };
}
