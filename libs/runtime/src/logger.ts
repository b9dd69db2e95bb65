import { type Logger, pino } from 'pino';

export type { Logger };

/**
 * JSON lines on standard output. Written synchronously in small services' start and stop, in chunks otherwise: a
 * line per attempt must not cost a system call. What was buffered is flushed on exit.
 */
export function createLogger(service: string, level: string): { logger: Logger; flush: () => void } {
  const destination = pino.destination({ dest: 1, sync: false, minLength: 4096, periodicFlush: 500 });
  const logger = pino({ level, base: { service }, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    logger,
    flush: () => {
      try {
        destination.flushSync();
      } catch {
        // Not open yet, or the reader of our output is gone: there is nowhere left to say so.
      }
    },
  };
}
