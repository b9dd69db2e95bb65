import { FeedsController } from './feeds.controller.js';

export { Feeds, requireFeed } from './feeds.js';
export type { FeedItem, FeedPage } from './feed-page.js';
export type { EndReason, FeedSink, Following } from './follower.js';
export {
  endStreamsAtClose,
  eventFrame,
  type EventFrame,
  type EventStream,
  type EventStreamOptions,
  madeOnce,
  startEventStream,
} from './sse.js';

export const feeds = { controllers: [FeedsController] };
