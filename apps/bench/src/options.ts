import { parseArgs } from 'node:util';
import type { LogKind } from './product/bench-stack.js';
import { longScenarioNames, type ScenarioName, scenarioNames, Sizes } from './scenarios/scenarios.js';

export const HELP = `npm run bench -- [options]
  --scenario name[,name...]   (all: those without a *)
      throughput              64 in flight, 20,000 messages of 1 KB, one endpoint that answers at once; three times
      latency                 open loop, 200/s for 20 s, the same endpoint; three times
      fan-out                 400 messages, each to 50 endpoints; three times
      isolation               ten accounts at 300/s; the tenth's endpoint hangs
      backlog                 100,000 messages accepted while no dispatcher runs, then drained
      retry-storm             1,000 endpoints fail for a minute at 200/s, then answer; nine healthy accounts beside
      idempotent-publish      10,000 messages without keys, with a key each, and each sent twice under its key
      history-reads           200 messages/s while 50 reads/s look at 20,000 deliveries
    * misbehaviour            as isolation: headers that drip, 500 after ten seconds, connections refused
    * dead-host               1,000 endpoints on one dead host at 200/s, beside nine healthy accounts at 100/s
    * recovery                an endpoint at 200/s is down for two minutes, beside the same nine
    * replay                  100,000 deliveries that failed for good are recovered beside the same nine
    * tail                    100 clients follow every attempt at 200/s
    * projection              50,000 delivered while nobody writes history, or the due index, which then catch up
    * memory                  what 10,000 endpoints, and 100,000 deliveries put off, hold of the services' memory
    * scaling                 throughput of 192 accounts on four dispatchers, two and one, with 6 partitions and with 48
    * soak                    half of the throughput for 30 minutes: by how much memory grows
    * history-lists           first pages of a filled history (--count attempts, --out file); alone, as it needs no stack
    * due-index               what is due, the projection and the swap of a filled due index, likewise (--count deliveries)
  --log postgres|kafka|both   (postgres)
  --scale n                   (1) all counts and durations times n: 0.05 to try out, 0.01 at the least
  --count n, --warm-up n      exactly so many messages in each run, and before the first
  --one-stack                 all scenarios of a log on one stack: sooner done, and less comparable
  --profile                   CPU profile of every service, the 15 costliest functions of each
  --json file                 the results, for machines
  --compare old.json          the ratios to earlier results
  --from file                 runs nothing: takes results written before
  --capacity file.md          machines needed for 1,000 to 1,000,000 deliveries/s at these costs, as a page`;

export interface Options {
  scenarios: ScenarioName[];
  logs: LogKind[];
  scale: number;
  sizes: Sizes;
  oneStack: boolean;
  profile: boolean;
  json: string | undefined;
  compare: string | undefined;
  from: string | undefined;
  capacity: string | undefined;
}

/** Answers what is wrong as text; `help` when only that was asked for. */
export function readOptions(args: string[]): Options | 'help' | { wrong: string } {
  let values;
  try {
    values = parse(args);
  } catch (error) {
    return { wrong: (error as Error).message };
  }
  if (values.help) return 'help';
  const known: readonly ScenarioName[] = [...scenarioNames, ...longScenarioNames];
  const wished = values.scenario === 'all' ? [...scenarioNames] : values.scenario.split(',');
  const strange = wished.find((name) => !known.includes(name as ScenarioName));
  if (strange !== undefined) return { wrong: `there is no scenario ${strange}` };
  if (values['one-stack'] && wished.includes('scaling') && wished.length > 1)
    return { wrong: 'scaling has other processes than the rest, so it needs stacks of its own' };
  const logs = (['postgres', 'kafka'] as const).filter((log) => values.log === log || values.log === 'both');
  if (logs.length === 0) return { wrong: `there is no log ${values.log}` };
  const numbers = { scale: values.scale, count: values.count, 'warm-up': values['warm-up'] };
  for (const [name, value] of Object.entries(numbers)) {
    if (value !== undefined && !(Number(value) > 0)) return { wrong: `--${name} is a number above 0` };
  }
  const scale = Number(values.scale);
  return {
    scenarios: known.filter((name) => wished.includes(name)),
    logs,
    scale,
    sizes: new Sizes(scale, {
      ...(values.count === undefined ? {} : { count: Math.ceil(Number(values.count)) }),
      ...(values['warm-up'] === undefined ? {} : { warmUp: Math.ceil(Number(values['warm-up'])) }),
    }),
    oneStack: values['one-stack'],
    profile: values.profile,
    json: values.json,
    compare: values.compare,
    from: values.from,
    capacity: values.capacity,
  };
}

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      scenario: { type: 'string', default: 'all' },
      log: { type: 'string', default: 'postgres' },
      scale: { type: 'string', default: '1' },
      count: { type: 'string' },
      'warm-up': { type: 'string' },
      'one-stack': { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      json: { type: 'string' },
      compare: { type: 'string' },
      from: { type: 'string' },
      capacity: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  return values;
}
