import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const MAIN = new URL('../../../libs/egress/src/oauth/proving/oidc-provider.main.mjs', import.meta.url);

export interface ServerClient {
  client_id: string;
  token_endpoint_auth_method: string;
  [field: string]: unknown;
}

/** A certified authorization server as a process of its own, that goes away and comes back at the same place. */
export class TokenServer {
  private child: ChildProcess | undefined;
  issuer = '';

  private constructor(private readonly settings: { clients: ServerClient[]; resource: string }) {}

  /** @param resource the one resource indicator it knows; tokens for it are JWTs */
  static async start(clients: ServerClient[], resource: string): Promise<TokenServer> {
    const server = new TokenServer({ clients, resource });
    await server.startAgain();
    return server;
  }

  get tokenUrl(): string {
    return `${this.issuer}/token`;
  }

  async startAgain(): Promise<void> {
    const port = this.issuer === '' ? 0 : Number(new URL(this.issuer).port);
    const child = spawn(process.execPath, [MAIN.pathname, JSON.stringify({ ...this.settings, port })], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.child = child;
    this.issuer = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', (code) => reject(new Error(`oidc-provider ended with ${code}`)));
    });
  }

  async stop(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    await ended;
  }
}
