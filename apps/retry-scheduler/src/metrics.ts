import type { Meter } from '@opentelemetry/api';
import type { EventLog, ProjectionBatch } from '@posthaste/event-log';
import type pg from 'pg';
import { SCHEDULER_GROUP, scheduledTopics } from './due-index/index.js';
import { indexState } from './due-index/sql/index-state.js';
import type { ParkingLot } from './parking/parking-lot.js';
import type { HandOverPace, ReleaseOutcome } from './release/index.js';

/** What an operator watches of the timer: is anything late, what waits for its lane, how fast is it handed over. */
export interface SchedulerMetrics {
  applied: (batches: ProjectionBatch[]) => void;
  released: (outcome: ReleaseOutcome) => void;
  bounced: () => void;
  unreadable: () => void;
  catchingUp: (now: boolean) => void;
  stop: () => void;
}

export interface Watched {
  meter: Meter;
  pool: pg.Pool;
  log: EventLog;
  lot: Pick<ParkingLot, 'lanes'>;
  pace: Pick<HandOverPace, 'rate'>;
}

export function schedulerMetrics({ meter, pool, log, lot, pace }: Watched): SchedulerMetrics {
  const records = meter.createCounter('posthaste_projection_records', {
    description: 'Records applied to the due index',
  });
  const unreadable = meter.createCounter('posthaste_projection_unreadable', {
    description: 'Records passed over because they could not be read',
  });
  const releases = meter.createCounter('posthaste_schedule_releases', {
    description:
      'Attempts by kind (timed, parked) and what became of them: released, dropped (settled already), postponed (not in history yet), parked (due, and no room in the lane)',
  });
  const bounces = meter.createCounter('posthaste_schedule_bounces', {
    description: 'Released deliveries that their lane turned away',
  });
  const behind = meter.createObservableGauge('posthaste_projection_catching_up', {
    description: '1 while the due index has not applied what the log held at start; nothing is released',
  });
  const lag = meter.createObservableGauge('posthaste_projection_lag_records', {
    description: 'Records of the log not yet applied',
  });
  const overdue = meter.createObservableGauge('posthaste_schedule_overdue_seconds', {
    description: 'How late the earliest attempt is whose time has come and that is still in the index',
  });
  const size = meter.createObservableGauge('posthaste_schedule_index_rows', {
    description: "Attempts in the index, by PostgreSQL's estimate",
  });
  const parkedRows = meter.createObservableGauge('posthaste_schedule_parked_rows', {
    description: "Attempts that wait for their lane, by PostgreSQL's estimate",
  });
  const parkedLanes = meter.createObservableGauge('posthaste_schedule_parked_lanes', {
    description: 'Lanes that have parked attempts, as far as this process knows',
  });
  const paced = meter.createObservableGauge('posthaste_schedule_hand_over_pace', {
    description: 'Due attempts a second that may be handed to dispatchers; it yields to new messages',
  });
  let catchingUp = false;
  paced.addCallback((result) => result.observe(pace.rate));
  parkedLanes.addCallback((result) => result.observe(lot.lanes));
  behind.addCallback((result) => result.observe(catchingUp ? 1 : 0));
  // Asked only when scraped; no value is better than an old one when the log or the database cannot be reached.
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = async (result) => {
    const [lags, state] = await Promise.all([
      log.admin.lag(SCHEDULER_GROUP, scheduledTopics).catch(() => []),
      indexState(pool).catch(() => null),
    ]);
    if (lags.length > 0) {
      result.observe(
        lag,
        lags.reduce((sum, entry) => sum + entry.lag, 0),
      );
    }
    if (state === null) return;
    result.observe(overdue, state.overdueMs / 1000);
    result.observe(size, state.rows);
    result.observe(parkedRows, state.parkedRows);
  };
  const observed = [lag, overdue, size, parkedRows];
  meter.addBatchObservableCallback(observe, observed);

  return {
    applied: (batches) =>
      batches.forEach(({ topic, records: applied }) => records.add(applied.length, { topic })),
    released: ({ kind, released, dropped, postponed, parked }) => {
      for (const [outcome, count] of Object.entries({ released, dropped, postponed, parked })) {
        if (count > 0) releases.add(count, { kind, outcome });
      }
    },
    bounced: () => bounces.add(1),
    unreadable: () => unreadable.add(1),
    catchingUp: (now) => {
      catchingUp = now;
    },
    stop: () => meter.removeBatchObservableCallback(observe, observed),
  };
}
