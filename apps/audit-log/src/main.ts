import 'reflect-metadata';
import { runService } from '@posthaste/runtime';
import { startAuditLog } from './audit-log.js';
import { AuditLogConfig, environment } from './config.js';
import { openLog } from './open-log.js';

await runService('audit-log', AuditLogConfig, environment, async (context) => {
  const log = await openLog(context.config, context.logger);
  const service = await startAuditLog({ ...context, log, meter: context.telemetry.meter });
  return {
    stop: async () => {
      await service.stop();
      await log.close();
    },
  };
});
