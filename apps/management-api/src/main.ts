import { runService } from '@posthaste/runtime';
import { environment, ManagementApiConfig } from './config.js';
import { startManagementApi } from './start.js';

await runService('management-api', ManagementApiConfig, environment, startManagementApi);
