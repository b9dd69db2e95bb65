import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePorts } from '@posthaste/local-stack';
import { kafkaForTests } from '@posthaste/test-kit';

const PRODUCE = 0;
const FETCH = 1;

/** Stands between clients and a broker, knows which request an answer belongs to, and does harm on demand. */
export class CuttingProxy {
  /** Answers to produce requests that were cut off, with their connections. */
  cuts = 0;
  private cutsWanted = 0;
  private isRefusing = false;
  private isFetchHeld = false;
  private readonly clients = new Set<Socket>();
  private readonly fetching = new Set<Socket>();
  private readonly server: Server;

  private constructor(
    readonly port: number,
    private readonly target: number,
  ) {
    this.server = createServer((socket) => this.join(socket)).listen(port, '127.0.0.1');
  }

  /** A broker that tells its clients the proxy's address, so that all of them come through it. */
  static async beforeOwnBroker(settings: Record<string, string | number> = {}) {
    const startOwn = kafkaForTests()?.startOwn;
    if (!startOwn) throw new Error('a broker of its own is needed');
    const [port, proxyPort] = (await freePorts(2)) as [number, number];
    const proxy = new CuttingProxy(proxyPort, port);
    const properties = { ...settings, 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxyPort}` };
    const kafka = await startOwn({ ports: [port], properties });
    return { proxy, kafka, direct: kafka.bootstrap, brokers: [`127.0.0.1:${proxyPort}`] };
  }

  /** The broker gets these produce requests, and their answers are lost. */
  cutAnswers(count: number): void {
    this.cutsWanted = count;
  }

  /** Accepts connections only to close them. */
  refuse(isRefusing: boolean): void {
    this.isRefusing = isRefusing;
    if (isRefusing) for (const socket of this.clients) socket.destroy();
  }

  /** Fetches are asked and not answered. */
  holdFetches(isHeld: boolean): void {
    this.isFetchHeld = isHeld;
    // What was held back is missing in the stream: begin anew.
    if (!isHeld) for (const socket of this.fetching) socket.destroy();
  }

  close(): void {
    this.refuse(true);
    this.server.close();
  }

  private join(near: Socket): void {
    if (this.isRefusing) {
      near.destroy();
      return;
    }
    const far = connect(this.target, '127.0.0.1');
    let kind = -1;
    let left = 0;
    const cut = (): void => {
      near.destroy();
      far.destroy();
      this.clients.delete(near);
      this.fetching.delete(near);
    };
    this.clients.add(near);
    for (const socket of [near, far]) socket.setNoDelay(true).on('error', cut).on('close', cut);
    near.on('data', (chunk) => {
      // The first chunk of a request names its kind; kafkajs writes each request at once.
      if (left <= 0) {
        left = chunk.readInt32BE(0) + 4;
        kind = chunk.readInt16BE(4);
        if (kind === FETCH) this.fetching.add(near);
      }
      left -= chunk.length;
      far.write(chunk);
    });
    far.on('data', (chunk) => {
      if (kind === FETCH && this.isFetchHeld) return;
      if (kind === PRODUCE && this.cutsWanted > 0) {
        this.cutsWanted--;
        this.cuts++;
        cut();
        return;
      }
      near.write(chunk);
    });
  }
}
