import 'reflect-metadata';
import { runService } from '@posthaste/runtime';
import { environment, RetrySchedulerConfig } from './config.js';
import { openLog } from './open-log.js';
import { startRetryScheduler } from './retry-scheduler.js';

await runService('retry-scheduler', RetrySchedulerConfig, environment, async (context) => {
  const log = await openLog(context.config, context.logger);
  const service = await startRetryScheduler({ ...context, log, meter: context.telemetry.meter });
  return {
    stop: async () => {
      await service.stop();
      await log.close();
    },
  };
});
