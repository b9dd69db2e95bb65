import type { Command } from '../command.js';
import { accounts } from './accounts.js';
import { audit } from './audit.js';
import { completion } from './completion.js';
import { deliveries } from './deliveries.js';
import { doctor } from './doctor.js';
import { endpoints } from './endpoints.js';
import { messages } from './messages.js';
import { serviceConfig } from './service-config.js';
import { simulate } from './simulate.js';
import { lag, status } from './status.js';

const others = [
  status,
  accounts,
  ...endpoints,
  ...messages,
  ...deliveries,
  ...audit,
  lag,
  doctor,
  simulate,
  serviceConfig,
];

/** Everything the program can do, in the order of the help. */
export const commands: Command[] = [...others, completion(others)];
