import type { Meter } from '@opentelemetry/api';
import { topics } from '@posthaste/contracts';
import type { EventLog } from '@posthaste/event-log';

/**
 * What the log holds, by topic. One service tells it: the one that reads nearly all of it. No value while the log cannot
 * be reached: that is better than an old one.
 */
export function logMetrics(meter: Meter, log: EventLog): { stop: () => void } {
  const partitions = meter.createObservableGauge('posthaste_topic_partitions', {
    description: 'Partitions of a topic of the log',
  });
  const appended = meter.createObservableCounter('posthaste_topic_appended_records', {
    description: 'Records ever appended to a topic of the log',
  });
  const kept = meter.createObservableGauge('posthaste_topic_kept_records', {
    description: 'Records from the oldest that is kept to the newest; of a compacted topic fewer are there',
  });
  const observed = [partitions, appended, kept];
  const observe: Parameters<Meter['addBatchObservableCallback']>[0] = async (result) => {
    const found = await Promise.all(Object.values(topics).map(async (topic) => measured(log, topic)));
    for (const { topic, ...figures } of found.flatMap((figures) => figures ?? [])) {
      result.observe(partitions, figures.partitions, { topic });
      result.observe(appended, figures.appended, { topic });
      result.observe(kept, figures.kept, { topic });
    }
  };
  meter.addBatchObservableCallback(observe, observed);
  return { stop: () => meter.removeBatchObservableCallback(observe, observed) };
}

async function measured({ admin }: EventLog, topic: (typeof topics)[keyof typeof topics]) {
  try {
    const [starts, ends] = await Promise.all([admin.startOffsets(topic), admin.endOffsets(topic)]);
    const appended = ends.reduce((sum, { offset }) => sum + offset, 0);
    const gone = starts.reduce((sum, { offset }) => sum + offset, 0);
    return { topic: topic.name, partitions: ends.length, appended, kept: appended - gone };
  } catch {
    return null;
  }
}
