import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/**
 * Below where systems take the local ports of outgoing connections from (32,768 on Linux): a port from that range may
 * be in use by a connection before the server it was meant for has started. And between the ports of well-known services
 * (10250, 11211, 27017): no endpoint may have one of those.
 */
const FIRST_PORT = 12_000;
const PORTS_END = 27_000;

/**
 * Ports on loopback nobody listens on now. All are held open until the last one is known, so they differ from each
 * other; between this call and their use another process may still take one.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(FIRST_PORT, PORTS_END);
    const server = await listenAt(port);
    if (server === undefined) continue;
    servers.push(server);
    ports.push(port);
  }
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

function listenAt(port: number): Promise<Server | undefined> {
  return new Promise((answer, failed) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' || error.code === 'EACCES' ? answer(undefined) : failed(error),
    );
    server.listen(port, '127.0.0.1', () => answer(server));
  });
}
