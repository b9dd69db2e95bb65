import { FeedsController } from './feeds.grpc.js';

export { FEED_KEPT_MS } from './feeds.grpc.js';
export { deleteExpiredItems } from './sql/delete-expired-items.js';

export const feedsFeature = { controllers: [FeedsController] };
