import { request } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { EgressError } from './failure.js';

/** An HTTP proxy that connects us onward with CONNECT (RFC 9110, 9.3.6). */
export interface EgressProxy {
  host: string;
  port: number;
  /** The value of `proxy-authorization`, if it asks for one. */
  authorization?: string;
}

/** Reads `http://[user:password@]host:port`; throws on anything else. */
export function parseEgressProxy(text: string): EgressProxy {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'http:' || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    // The text may hold a password.
    throw new RangeError('not an egress proxy: http://[user:password@]host:port');
  }
  const login = [url.username, url.password].map(decodeURIComponent).join(':');
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port || 80),
    ...(login === ':' ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` }),
  };
}

/**
 * A connection to the first of the addresses the proxy reaches. It is asked for addresses that were checked, so that
 * its own idea of the name cannot lead elsewhere.
 */
export async function tunnelThrough(
  proxy: EgressProxy,
  addresses: string[],
  port: number,
  signal: AbortSignal,
): Promise<{ socket: Socket; address: string }> {
  let refusal: unknown = new EgressError('proxy', 'no address');
  for (const address of addresses) {
    try {
      return { socket: await tunnel(proxy, address, port, signal), address };
    } catch (error) {
      if (signal.aborted) throw error;
      refusal = error;
    }
  }
  throw refusal;
}

function tunnel(proxy: EgressProxy, address: string, port: number, signal: AbortSignal): Promise<Socket> {
  const authority = `${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
  const { host, port: proxyPort, authorization } = proxy;
  return new Promise((resolve, reject) => {
    const asked = request({
      host,
      port: proxyPort,
      method: 'CONNECT',
      path: authority,
      agent: false,
      headers: { host: authority, ...(authorization ? { 'proxy-authorization': authorization } : {}) },
    });
    signal.addEventListener('abort', () => {
      asked.destroy();
      reject(signal.reason as Error);
    });
    asked.on('error', (error: Error & { code?: string }) => {
      reject(new EgressError('proxy', error.code ?? error.name));
    });
    asked.on('connect', ({ statusCode = 0 }, socket, head) => {
      socket.on('error', () => undefined);
      // Nobody has been asked anything yet: bytes that came along are not the receiver's answer.
      if (statusCode >= 200 && statusCode < 300 && head.length === 0) {
        resolve(socket.setNoDelay(true) as Socket);
        return;
      }
      socket.destroy();
      reject(new EgressError('proxy', String(statusCode)));
    });
    asked.end();
  });
}
