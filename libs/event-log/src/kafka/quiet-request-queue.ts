import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';

/**
 * After its first answer every connection of kafkajs looks for waiting requests once a millisecond, for ever: it asks
 * for a timer at "the end of the throttling", which without throttling lies in the past. A process has about six
 * connections, and that was most of what it did at rest, and each wake-up a line less for others on a small machine.
 * Here the timer is set only while a request waits; nothing else needs it. It also ends TimeoutNegativeWarning.
 */
export function quietRequestQueues(): void {
  const { prototype } = RequestQueue;
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this);
  };
}
