import { ReconcileController } from './reconcile.grpc.js';

export { Positions1791000000505 } from './positions-migration.js';

export const reconcileFeature = { controllers: [ReconcileController] };
