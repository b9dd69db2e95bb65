import { afterEach, describe, expect, it } from '@jest/globals';
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js';
// As every client does: it quiets the queues.
import './kafka-client.js';

describe("the request queues of kafkajs's connections", () => {
  const queue = new RequestQueue({ requestTimeout: 1_000, clientId: 'spec', broker: 'nowhere:1' });
  afterEach(() => queue.destroy());

  it('set no timer while nothing waits', () => {
    queue.checkPendingRequests();
    expect(queue.throttleCheckTimeoutId).toBeNull();
  });

  it('look again for what waits', () => {
    queue.pending.push({});
    queue.scheduleCheckPendingRequests();
    expect(queue.throttleCheckTimeoutId).not.toBeNull();
  });
});
