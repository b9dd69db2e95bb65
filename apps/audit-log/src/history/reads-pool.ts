import { createPool, type PoolOptions } from '@posthaste/runtime';
import type pg from 'pg';

/**
 * Whoever reads the history.
 *
 * Each list has an index in its own order, of which a page is the first rows. Of a table without statistics, or of an
 * account that grew after they were taken, the planner expects a handful of rows: it would gather all there are and sort
 * them, 20 ms of a processor for 20,000 messages and more for each that comes. Where an index gives the order, none is
 * made by sorting; what no index gives is sorted all the same.
 */
export function createReadsPool(options: Pick<PoolOptions, 'url' | 'max' | 'logger' | 'settings'>): pg.Pool {
  return createPool({
    ...options,
    name: 'history-reads',
    settings: { ...options.settings, enable_sort: 'off' },
  });
}
