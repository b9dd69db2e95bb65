import type { Command } from '../command.js';
import { accounts } from './accounts.js';
import { audit } from './audit.js';
import { completion } from './completion.js';
import { deliveries } from './deliveries.js';
import { doctor } from './doctor.js';
import { endpoints } from './endpoints.js';
import { explain } from './explain.js';
import { messages } from './messages.js';
import { rebuild } from './rebuild.js';
import { recover } from './recover.js';
import { replays } from './replays.js';
import { serviceConfig } from './service-config.js';
import { simulate } from './simulate.js';
import { status } from './status.js';
import { tail } from './tail.js';
import { lag, topics } from './topics.js';
import { versions } from './versions.js';

const others = [
  status,
  accounts,
  ...endpoints,
  ...versions,
  ...messages,
  explain,
  ...deliveries,
  tail,
  recover,
  ...replays,
  ...audit,
  lag,
  topics,
  doctor,
  ...rebuild,
  simulate,
  serviceConfig,
];

/** Everything the program can do, in the order of the help. */
export const commands: Command[] = [...others, completion(others)];
