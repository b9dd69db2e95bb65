import { createServer } from 'node:net';
import { LocalStackError } from './errors.js';
import { freePorts } from './free-ports.js';

/**
 * The ports of a local stack, all on loopback. `npm start` uses these; a test takes free ones.
 *
 * | port          | who listens                       | variable of `npm start`   |
 * |---------------|-----------------------------------|---------------------------|
 * | 4100          | management-api: REST              | POSTHASTE_PORT            |
 * | 4101          | audit-log: gRPC (history)         | POSTHASTE_HISTORY_PORT    |
 * | 4102 .. 4105  | ops port of each service          | POSTHASTE_OPS_PORT (the first of the four) |
 * | 4107          | retry-scheduler: gRPC (ordering)  | POSTHASTE_SCHEDULE_PORT   |
 * | 4106          | dispatcher: gRPC (test sends)     | POSTHASTE_DISPATCH_PORT   |
 * | 4180          | play: the test receiver           | POSTHASTE_PLAY_PORT       |
 * | 4190          | PostgreSQL                        | POSTHASTE_POSTGRES_PORT   |
 */
export interface StackPorts {
  api: number;
  history: number;
  /** The first of four in a row. */
  ops: number;
  schedule: number;
  dispatch: number;
  play: number;
  postgres: number;
}

export const defaultPorts: StackPorts = {
  api: 4100,
  history: 4101,
  ops: 4102,
  schedule: 4107,
  dispatch: 4106,
  play: 4180,
  postgres: 4190,
};

const portVariables: Record<keyof StackPorts, string> = {
  api: 'POSTHASTE_PORT',
  history: 'POSTHASTE_HISTORY_PORT',
  ops: 'POSTHASTE_OPS_PORT',
  schedule: 'POSTHASTE_SCHEDULE_PORT',
  dispatch: 'POSTHASTE_DISPATCH_PORT',
  play: 'POSTHASTE_PLAY_PORT',
  postgres: 'POSTHASTE_POSTGRES_PORT',
};

/** Fails with `port_in_use`, naming the variable that changes the port. */
async function assertPortFree(port: number, owner: keyof StackPorts): Promise<void> {
  const probe = createServer();
  const free = await new Promise<boolean>((answer) => {
    probe.once('error', () => answer(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => answer(true)));
  });
  if (!free) throw portInUse(port, owner);
}

export function portInUse(port: number, owner: keyof StackPorts): LocalStackError {
  const hint = `stop what uses it, or choose another one, such as: ${portVariables[owner]}=${port + 1000} npm start`;
  return new LocalStackError('port_in_use', `port ${port} is taken by another process`, hint);
}

export type GivePort = (owner?: keyof StackPorts, offset?: number) => Promise<number>;

/** Gives ports one by one: the asked-for ones after a check that they are free, else any of `spare` free ones. */
export async function portGiver(asked: Partial<StackPorts>, spare: number): Promise<GivePort> {
  const free = await freePorts(spare);
  return async (owner, offset = 0) => {
    const first = owner === undefined ? 0 : asked[owner];
    if (owner !== undefined && first) {
      await assertPortFree(first + offset, owner);
      return first + offset;
    }
    const port = free.pop();
    if (port === undefined) throw new Error('more ports are asked for than were set aside');
    return port;
  };
}
