import type pg from 'pg';

/** The pool or connection, telling how long each statement took, and failed ones too: its name, or its text. */
export function watching<T extends pg.Pool | pg.ClientBase>(
  target: T,
  onStatement: (statement: string, ms: number) => void,
): T {
  const own: Record<string, unknown> = {
    query: async (statement: string | pg.QueryConfig, ...rest: unknown[]): Promise<unknown> => {
      const startedAt = performance.now();
      try {
        return await (Reflect.apply(target.query.bind(target), target, [statement, ...rest]) as unknown);
      } finally {
        const said = typeof statement === 'string' ? statement : (statement.name ?? statement.text);
        onStatement(said, performance.now() - startedAt);
      }
    },
    connect: async (): Promise<pg.ClientBase> => watching(await (target as pg.Pool).connect(), onStatement),
  };
  return new Proxy(target, {
    get: (_, name) => {
      if (typeof name === 'string' && name in own) return own[name];
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
