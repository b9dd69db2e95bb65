/** The one part of kafkajs behind its public face that is touched here; see quiet-request-queue.ts. */
declare module 'kafkajs/src/network/requestQueue/index.js' {
  export default class RequestQueue {
    constructor(options: Record<string, unknown>);
    /** Requests that wait because too many are under way or the broker asked for a pause. */
    pending: unknown[];
    throttleCheckTimeoutId: NodeJS.Timeout | null;
    scheduleCheckPendingRequests: (this: RequestQueue) => void;
    checkPendingRequests(): void;
    destroy(): void;
  }
}
