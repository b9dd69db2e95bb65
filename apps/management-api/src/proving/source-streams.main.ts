import { parseEgressPolicy } from '@posthaste/egress';
import { openEventLog } from '@posthaste/event-log';
import { createLogger } from '@posthaste/runtime';
import { parseKeks, Vault } from '@posthaste/vault';
import { DataSource } from 'typeorm';
import { startSourceStreams } from '../sources/streams/index.js';

// A replica that only reads sources, in a process that can be killed: source-streams.main.ts <database url> <keks>
const [databaseUrl = '', keks = ''] = process.argv.slice(2);
startSourceStreams({
  databaseUrl,
  database: await new DataSource({ type: 'postgres', url: databaseUrl }).initialize(),
  log: await openEventLog({ kind: 'postgres', url: databaseUrl }),
  vault: new Vault(parseKeks(keks)),
  egress: { policy: parseEgressPolicy('127.0.0.0/8') },
  logger: createLogger('management-api', 'silent').logger,
});
process.send?.('started');
