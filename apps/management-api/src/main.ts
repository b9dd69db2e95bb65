import { runService } from '@posthaste/runtime';
import { ManagementApiConfig } from './config.js';
import { startManagementApi } from './start.js';

await runService('management-api', ManagementApiConfig, process.env, startManagementApi);
