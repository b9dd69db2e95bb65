import type { Meter } from '@opentelemetry/api';
import type { Topic } from '@posthaste/contracts';
import type { EventLog, ProjectionBatch } from '@posthaste/event-log';
import { AUDIT_TREE_GROUP, auditTreeTopics } from './audit-tree/index.js';
import { HISTORY_GROUP, historyTopics } from './history/index.js';

/** What an operator watches of history and audit trees: are they behind, how far, and was anything put aside. */
export interface HistoryMetrics {
  applied: (batches: ProjectionBatch[]) => void;
  quarantined: (topic: string) => void;
  catchingUp: (now: boolean) => void;
  stop: () => void;
}

export function historyMetrics(meter: Meter, log: EventLog): HistoryMetrics {
  const records = meter.createCounter('posthaste_projection_records', {
    description: 'Records applied to history',
  });
  const aside = meter.createCounter('posthaste_projection_quarantined', {
    description: 'Records put aside: into history.quarantine, of topic audit into audit.quarantine',
  });
  const delay = meter.createHistogram('posthaste_projection_delay_seconds', {
    description: 'From the append of the oldest record of a batch to its commit in history',
    advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60] },
  });
  const behind = meter.createObservableGauge('posthaste_projection_catching_up', {
    description: '1 while history has not applied what the log held at start',
  });
  const lag = meter.createObservableGauge('posthaste_projection_lag_records', {
    description: 'Records of the log not yet applied, by topic',
  });
  let catchingUp = false;
  behind.addCallback((result) => result.observe(catchingUp ? 1 : 0));
  const observeLag: Parameters<typeof lag.addCallback>[0] = async (result) => {
    const groups: { group: string; topics: Pick<Topic, 'name'>[] }[] = [
      { group: HISTORY_GROUP, topics: historyTopics },
      { group: AUDIT_TREE_GROUP, topics: auditTreeTopics },
    ];
    // Unknown while the log cannot be reached: no value is better than an old one.
    const lags = groups.map(({ group, topics }) => log.admin.lag(group, topics).catch(() => []));
    const found = (await Promise.all(lags)).flat();
    for (const topic of groups.flatMap(({ topics }) => topics)) {
      const ours = found.filter((entry) => entry.topic === topic.name);
      if (ours.length > 0)
        result.observe(
          ours.reduce((sum, entry) => sum + entry.lag, 0),
          { topic: topic.name },
        );
    }
  };
  lag.addCallback(observeLag);

  return {
    applied: (batches) => {
      for (const { topic, records: applied } of batches) {
        records.add(applied.length, { topic });
        const oldest = applied[0];
        if (oldest) delay.record((Date.now() - oldest.appendedAt) / 1000, { topic });
      }
    },
    quarantined: (topic) => aside.add(1, { topic }),
    catchingUp: (now) => {
      catchingUp = now;
    },
    stop: () => lag.removeCallback(observeLag),
  };
}
