import type { EntityManager } from 'typeorm';

/** Raises a tenant's configuration version for a change of something that hangs on it, and answers it. */
export async function raiseTenant(manager: EntityManager, tenant: string): Promise<number> {
  // TypeORM answers an update with [rows, count].
  const [[row]] = await manager.query<[[{ config_version: string }], number]>(
    'update config.tenant set config_version = config_version + 1 where id = $1 returning config_version',
    [tenant],
  );
  return Number(row.config_version);
}
