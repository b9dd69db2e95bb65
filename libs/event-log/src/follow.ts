import { FetchLoop, type FetchSource } from './fetch-loop.js';
import { partitionKey } from './partition-key.js';
import type { EventLogHooks, LogReader, Position, StoredRecord } from './port.js';

/** Reads a topic from its oldest records past `ends` and on, for adapters with a FetchSource. */
export function follow(options: {
  ends: Position[];
  source: FetchSource;
  subscribe(loop: FetchLoop): () => void;
  onRecord(record: StoredRecord, partition: number): void;
  hooks: EventLogHooks;
}): Awaited<ReturnType<LogReader['follow']>> {
  const { ends, hooks } = options;
  const warn = (message: string, error: unknown): void => hooks.onWarning?.(message, { error });
  const behind = new Map(ends.filter((end) => end.offset > 0).map((end) => [partitionKey(end), end.offset]));
  let settle: () => void = () => undefined;
  const caughtUp = new Promise<void>((resolve) => (settle = resolve));
  if (behind.size === 0) settle();

  const loop = new FetchLoop({
    source: options.source,
    onRecords: (batch) => {
      for (const record of batch.records) {
        try {
          options.onRecord(record, batch.partition);
        } catch (error) {
          // One bad record must not end the following of all the others.
          warn(`a record of ${batch.topic}/${batch.partition} at ${record.offset} was refused`, error);
        }
      }
    },
    onPosition: (position) => {
      if (position.offset >= (behind.get(partitionKey(position)) ?? Infinity)) {
        behind.delete(partitionKey(position));
        if (behind.size === 0) settle();
      }
    },
    onRetry: (error) => warn('a fetch failed', error),
    onFatal: (error) => warn('following ended', error),
  });
  const unsubscribe = options.subscribe(loop);
  loop.add(ends.map((end) => ({ ...end, offset: 0 })));
  return {
    caughtUp,
    close: async () => {
      unsubscribe();
      await loop.close();
    },
  };
}
