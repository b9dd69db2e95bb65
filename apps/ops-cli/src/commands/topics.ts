import { topics as topicsOfTheLog } from '@posthaste/contracts';
import type { Command, Context } from '../command.js';
import { Failure } from '../failure.js';
import { type Lag, lagOf, samplesAt } from '../ops.js';
import type { Cell } from '../output.js';
import { durationText } from '../quantities.js';

/** The log's topics and how far behind their readers are: both from the services' metrics, as a monitoring system sees them. */
interface TopicState {
  topic: string;
  partitions: number;
  appended: number;
  kept: number;
  /** Null: compacted, the newest of each key is kept for good. */
  kept_for_ms: number | null;
}

/** The service that tells what the log holds. */
const TELLER = 'audit-log';

export const topics: Command = {
  name: 'topics',
  says: 'what the log holds, topic by topic',
  options: [],
  run: async (_, context) => {
    const { [TELLER]: url } = opsOf(context);
    if (url === undefined) {
      throw new Failure('usage', `${context.target().from} does not say where the ops port of ${TELLER} is`, {
        hint: `a profile names it: "ops": {"${TELLER}": "http://host:port"}`,
      });
    }
    const data = await statesAt(url);
    const keptFor = ({ kept_for_ms: ms }: TopicState): string =>
      ms === null ? 'compacted' : durationText(ms);
    const cells = (state: TopicState): Cell[] => [
      state.topic,
      state.partitions,
      state.appended,
      state.kept,
      keptFor(state),
    ];
    return {
      kind: 'data',
      json: { data },
      blocks: [{ titles: ['topic', 'partitions', 'appended', 'kept', 'kept for'], rows: data.map(cells) }],
    };
  },
};

async function statesAt(opsUrl: string): Promise<TopicState[]> {
  const samples = await samplesAt(opsUrl);
  return Object.values(topicsOfTheLog).flatMap(({ name: topic, cleanup }) => {
    const of = (metric: string): number | undefined =>
      samples.find(({ name, labels }) => name === metric && labels['topic'] === topic)?.value;
    const partitions = of('posthaste_topic_partitions');
    const appended = of('posthaste_topic_appended_records_total');
    const kept = of('posthaste_topic_kept_records');
    // The log cannot be reached, or the topic is not there yet.
    if (partitions === undefined || appended === undefined || kept === undefined) return [];
    const kept_for_ms = cleanup.policy === 'delete' ? cleanup.retentionMs : null;
    return [{ topic, partitions, appended, kept, kept_for_ms }];
  });
}

export const lag: Command = {
  name: 'lag',
  says: 'how far behind the services are, from their metrics',
  options: [],
  run: async (_, context) => {
    const found = await Promise.all(
      Object.entries(opsOf(context)).map(async ([service, url]) => lagOf(service, url)),
    );
    const rows: Lag[] = found.flat();
    const cells = ({ service, topic, value, says }: Lag): Cell[] => [service, value, says, topic];
    return {
      kind: 'data',
      json: { data: rows },
      blocks: [{ titles: ['service', 'value', 'what', 'topic'], rows: rows.map(cells) }],
    };
  },
};

function opsOf(context: Context): Record<string, string> {
  const { ops, from } = context.target();
  if (Object.keys(ops).length > 0) return ops;
  throw new Failure('usage', `${from} does not say where the services' ops ports are`, {
    hint: 'a profile names them: "ops": {"dispatcher": "http://host:port", ...}',
  });
}
