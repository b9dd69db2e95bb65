import type { EntityManager } from 'typeorm';

/** Raises an account's configuration version for a change of something that hangs on it, and answers it. */
export async function raiseAccount(manager: EntityManager, account: string): Promise<number> {
  // TypeORM answers an update with [rows, count].
  const [[row]] = await manager.query<[[{ config_version: string }], number]>(
    'update config.account set config_version = config_version + 1 where id = $1 returning config_version',
    [account],
  );
  return Number(row.config_version);
}
