import { AuditTreeController } from './audit-tree.grpc.js';

export { AUDIT_KEYS } from './audit-tree.grpc.js';
export { AuditTree1795000000000 } from './audit-tree-migration.js';
export { AUDIT_TREE_GROUP, auditTreeTopics } from './audit-tree.projection.js';
export { auditKeys, startAuditTree } from './start-audit-tree.js';

export const auditTreeFeature = { controllers: [AuditTreeController] };
