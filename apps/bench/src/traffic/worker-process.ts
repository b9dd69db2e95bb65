import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import type { WorkerOrder } from './protocol.js';

/** A worker of the benchmark in a process of its own, so that its work does not slow what is measured beside it. */
export class WorkerProcess {
  private constructor(private readonly child: ChildProcess) {}

  static start(name: 'generator' | 'receiver'): WorkerProcess {
    return new WorkerProcess(
      fork(path.join(import.meta.dirname, `${name}.main.js`), { serialization: 'advanced' }),
    );
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** One order at a time. */
  ask<T>(order: WorkerOrder): Promise<T> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`the worker ended with code ${code}`));
      this.child.once('exit', onExit);
      this.child.once('message', (answer) => {
        this.child.off('exit', onExit);
        resolve((answer as { answer: T }).answer);
      });
      this.child.send(order);
    });
  }

  stop(): void {
    this.child.kill();
  }
}

export interface Workers {
  generator: WorkerProcess;
  /** Reads while the generator publishes. */
  reader: WorkerProcess;
  receiver: WorkerProcess;
}

export async function withWorkers<T>(use: (workers: Workers) => Promise<T>): Promise<T> {
  const workers = {
    generator: WorkerProcess.start('generator'),
    reader: WorkerProcess.start('generator'),
    receiver: WorkerProcess.start('receiver'),
  };
  try {
    return await use(workers);
  } finally {
    for (const worker of Object.values(workers)) worker.stop();
  }
}

/** The worker's side: answers every order with what the handler makes of it. */
export function serveOrders(handle: (order: WorkerOrder) => Promise<unknown>): void {
  process.on('message', (order: WorkerOrder) => {
    handle(order).then(
      (answer) => process.send?.({ answer }),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
  process.on('disconnect', () => process.exit(0));
}
