import { FeedsController } from './feeds.grpc.js';

export { FEED_KEPT_MS } from './feeds.grpc.js';

export const feedsFeature = { controllers: [FeedsController] };
