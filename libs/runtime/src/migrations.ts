import { DataSource, type DataSourceOptions } from 'typeorm';

/** A migration class of TypeORM; its name ends in a timestamp, which orders them. */
export type Migrations = Exclude<DataSourceOptions['migrations'], undefined>;

/** Keeps two replicas from migrating one schema at a time. Any constant does, as long as it stays. */
const LOCK_CLASS = 0x706f7374;

/**
 * Brings a service's schema up to date, once, whoever else starts at the same moment. Each service owns one schema
 * and keeps its list of applied migrations in it.
 */
export async function migrate(url: string, schema: string, migrations: Migrations): Promise<void> {
  const source = new DataSource({
    type: 'postgres',
    url,
    schema,
    migrations,
    migrationsTableName: 'migration',
    applicationName: `${schema}-migrations`,
    poolSize: 2,
  });
  await source.initialize();
  const runner = source.createQueryRunner();
  try {
    await runner.query('select pg_advisory_lock($1, hashtext($2))', [LOCK_CLASS, schema]);
    await runner.query(`create schema if not exists "${schema}"`);
    await source.runMigrations({ transaction: 'each' });
  } finally {
    await runner.query('select pg_advisory_unlock_all()').catch(() => undefined);
    await runner.release();
    await source.destroy();
  }
}
