import { AuditController } from './audit.controller.js';

export { Audit } from './audit.js';

export const audit = { controllers: [AuditController] };
