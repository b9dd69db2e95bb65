import { runService } from '@posthaste/runtime';
import { DispatcherConfig, environment } from './config.js';
import { startDispatcher } from './dispatcher.js';
import { openLog } from './open-log.js';

await runService('dispatcher', DispatcherConfig, environment, async (context) => {
  const log = await openLog(context.config, context.logger);
  const dispatcher = await startDispatcher({ ...context, log });
  return {
    stop: async () => {
      await dispatcher.stop();
      await log.close();
    },
  };
});
