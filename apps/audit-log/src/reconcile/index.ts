import { ReconcileController } from './reconcile.grpc.js';

export const reconcileFeature = { controllers: [ReconcileController] };
