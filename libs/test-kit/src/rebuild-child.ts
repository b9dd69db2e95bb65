/** What a process that rebuilds a projection is told: where, and at the n-th of which step it dies as by kill -9. */
export interface RebuildChildOrder<Step extends string> {
  url: string;
  dieAt?: { step: Step; nth: number };
}

/** What it starts, and ends itself once the rebuild is over. */
interface Rebuilds {
  start(): Promise<object>;
  stop(): Promise<void>;
}

export interface RebuildChild<Step extends string> {
  url: string;
  /** What the rebuilds are to tell. */
  hooks: { onStep: (step: Step) => void; onRetry: (error: unknown) => void };
  /** Asks for a rebuild and goes on with one a process left that died; ends once it is over. */
  run(rebuilds: Rebuilds): Promise<void>;
}

/**
 * The frame of a process that a test of a rebuild kills: the order is its first argument, the rebuilds are its own.
 *
 * @param last the step after which a rebuild is over
 */
export function rebuildChild<Step extends string>(last: Step): RebuildChild<Step> {
  const { url, dieAt } = JSON.parse(process.argv[2] ?? '{}') as RebuildChildOrder<Step>;
  const over = Promise.withResolvers<void>();
  let seen = 0;
  return {
    url,
    hooks: {
      onStep: (step) => {
        if (step === dieAt?.step && ++seen === dieAt.nth) process.kill(process.pid, 'SIGKILL');
        if (step === last) over.resolve();
      },
      onRetry: (error) => {
        process.stderr.write(`${String(error)}\n`);
      },
    },
    run: async (rebuilds) => {
      const answer = await rebuilds.start();
      if ('refused' in answer) throw new Error(String(answer.refused));
      await over.promise;
      await rebuilds.stop();
    },
  };
}
