import 'reflect-metadata';
import { topics } from '@posthaste/contracts';
import { openConfiguredLog } from '@posthaste/event-log';
import { runService } from '@posthaste/runtime';
import { environment, RetrySchedulerConfig } from './config.js';
import { startRetryScheduler } from './retry-scheduler.js';

await runService('retry-scheduler', RetrySchedulerConfig, environment, async (context) => {
  const { config, logger } = context;
  const used = [topics.deliveries, topics.due, topics.config];
  const log = await openConfiguredLog(config, { name: 'retry-scheduler', topics: used, logger });
  const service = await startRetryScheduler({ ...context, log, meter: context.telemetry.meter });
  return {
    stop: async () => {
      await service.stop();
      await log.close();
    },
  };
});
