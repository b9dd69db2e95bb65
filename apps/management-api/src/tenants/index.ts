import { ApiKeyRow } from './api-key.entity.js';
import { KeysController } from './keys.controller.js';
import { TenantRow } from './tenant.entity.js';
import { TenantsController } from './tenants.controller.js';

export const tenants = {
  controllers: [TenantsController, KeysController],
  entities: [TenantRow, ApiKeyRow],
};
