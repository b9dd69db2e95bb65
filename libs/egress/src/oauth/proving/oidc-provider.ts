import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** oidc-provider as a process of its own; see `oidc-provider.main.mjs`. */
export class OidcProvider {
  private constructor(
    private readonly child: ChildProcess,
    readonly issuer: string,
  ) {}

  /** @param resource the one resource indicator it knows; tokens for it are JWTs */
  static async start(clients: Record<string, unknown>[], resource: string): Promise<OidcProvider> {
    const main = new URL('./oidc-provider.main.mjs', import.meta.url).pathname;
    const child = spawn(process.execPath, [main, JSON.stringify({ clients, resource })], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout });
    const issuer = await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve);
      child.once('exit', (code) => reject(new Error(`oidc-provider ended with ${code}`)));
    });
    return new OidcProvider(child, issuer);
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    await exited;
  }
}
