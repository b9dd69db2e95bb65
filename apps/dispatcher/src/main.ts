import { topics } from '@posthaste/contracts';
import { openConfiguredLog } from '@posthaste/event-log';
import { runService } from '@posthaste/runtime';
import { DispatcherConfig, environment } from './config.js';
import { startDispatcher } from './dispatcher.js';

await runService('dispatcher', DispatcherConfig, environment, async (context) => {
  const { config, logger } = context;
  const used = [topics.messages, topics.due, topics.deliveries, topics.health, topics.config];
  const log = await openConfiguredLog(config, { name: 'dispatcher', topics: used, logger });
  const dispatcher = await startDispatcher({ ...context, log });
  return {
    stop: async () => {
      await dispatcher.stop();
      await log.close();
    },
  };
});
