import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';

/**
 * After its first answer every connection of kafkajs looks for waiting requests once a millisecond, for ever: it asks
 * for a timer at the end of the throttling, and without throttling that lies in the past. A process has four to six
 * connections, so this was most of what a service did at rest: 4 to 8 % of a core. Here the timer is set only while a
 * request waits; nothing else needs it. Node's TimeoutNegativeWarning goes with it.
 */
export function quietRequestQueues(): void {
  const { prototype } = RequestQueue;
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
}
