import { FeedsController } from './feeds.controller.js';

export { Feeds } from './feeds.js';
export type { FeedItem } from './feed-page.js';
export { eventFrame, type EventStream, madeOnce, startEventStream } from './sse.js';
export { stillGood } from './standing.js';

export const feeds = { controllers: [FeedsController] };
