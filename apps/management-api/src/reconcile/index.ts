import { ReconcileController } from './reconcile.controller.js';

export { Reconcile } from './reconcile.js';

export const reconcile = { controllers: [ReconcileController] };
