import 'reflect-metadata';
import { topics } from '@posthaste/contracts';
import { openConfiguredLog } from '@posthaste/event-log';
import { runService } from '@posthaste/runtime';
import { startAuditLog } from './audit-log.js';
import { AuditLogConfig, environment } from './config.js';

await runService('audit-log', AuditLogConfig, environment, async (context) => {
  const { config, logger } = context;
  const used = [topics.messages, topics.deliveries, topics.audit, topics.config];
  const log = await openConfiguredLog(config, { name: 'audit-log', topics: used, logger });
  const service = await startAuditLog({ ...context, log, meter: context.telemetry.meter });
  return {
    stop: async () => {
      await service.stop();
      await log.close();
    },
  };
});
