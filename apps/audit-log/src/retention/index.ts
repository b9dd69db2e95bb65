import { RetentionController } from './retention.grpc.js';

export { Retention } from './retention.js';
export { Retention1796000000002 } from './retention-migration.js';
export { followPolicies } from './tenant-policies.js';

export const retentionFeature = { controllers: [RetentionController] };
