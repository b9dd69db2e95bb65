import type { LogProducer } from '@posthaste/event-log';
import type { Logger } from '@posthaste/runtime';
import type pg from 'pg';
import type { Changes } from '../changes/changes.js';
import { disableEndpoint } from './disable-endpoint.js';
import { forgetOldHealth, listToDisable } from './sql/todo-actions.js';
import { tellOperators } from './tell-operators.js';

/**
 * Works off what endpoint health asks for: first the endpoints to disable, then what operators are to be told.
 *
 *   idle --(a projection's commit here, or 5 s)--> working --(nothing left)--> idle
 *                                                     |--(log or database down)--> backing off --> working
 *
 * Every replica runs one; a row is one's own by its lock, for one transaction. One action that fails does not hold up
 * the others.
 */
export interface ActionLoopParts {
  pool: pg.Pool;
  changes: Changes;
  producer: LogProducer;
  logger: Logger;
}

const POLL_MS = 5_000;
const BACKOFF_MS = 2_000;
const FORGET_EVERY_MS = 3_600_000;
const BATCH = 100;

export class ActionLoop {
  private isStopping = false;
  /** A wake that came while working is not lost. */
  private isWoken = false;
  private rouse: () => void = () => undefined;
  private running: Promise<void> = Promise.resolve();
  private forgetAt = 0;

  constructor(private readonly parts: ActionLoopParts) {}

  start(): void {
    this.running = this.loop();
  }

  wake(): void {
    this.isWoken = true;
    this.rouse();
  }

  /** Lets what is being done finish. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.rouse();
    await this.running;
  }

  private async loop(): Promise<void> {
    while (!this.isStopping) {
      this.isWoken = false;
      const failed = await this.workOff();
      await this.rest(failed ? BACKOFF_MS : POLL_MS, failed);
    }
  }

  /** True when something could not be done. */
  private async workOff(): Promise<boolean> {
    const { pool, producer, logger } = this.parts;
    let failed = false;
    const attempt = async (work: () => Promise<unknown>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        failed = true;
        logger.warn({ err: error }, 'endpoint_health.action_failed');
      }
    };
    await attempt(() => this.disableAll(attempt));
    await attempt(async () => {
      while (!this.isStopping && (await tellOperators(pool, producer)) > 0);
    });
    if (performance.now() >= this.forgetAt) {
      this.forgetAt = performance.now() + FORGET_EVERY_MS;
      await attempt(() => forgetOldHealth(pool));
    }
    return failed;
  }

  private async disableAll(attempt: (work: () => Promise<unknown>) => Promise<void>): Promise<void> {
    const { pool, changes } = this.parts;
    for (const { cause, attempt: because } of await listToDisable(pool, BATCH)) {
      if (!this.isStopping) await attempt(() => disableEndpoint(changes, cause, because));
    }
  }

  /** Also while backing off a stop ends it at once. */
  private async rest(ms: number, isBackingOff: boolean): Promise<void> {
    if (this.isStopping || (this.isWoken && !isBackingOff)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.rouse = () => {
        if (isBackingOff && !this.isStopping) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.rouse = () => undefined;
  }
}
