import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The audit trees, in a schema of their own: whoever drops `history` to build it again keeps them. Entries and nodes are
 * written once; `head` says where a tree ends, and its rows are the only ones that change.
 */
export class AuditTree1795000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table audit.position (
        topic text not null, partition int not null, next bigint not null, primary key (topic, partition)
      );
      create table audit.entry (
        tenant text collate "C" not null,
        seq bigint not null,
        -- The entry's own id: what the log has twice is in the tree once.
        id text collate "C" not null,
        -- Canonical JSON.
        canonical bytea not null,
        leaf_hash bytea not null,
        -- Key id and signature over the head of the tree that ends here.
        signature bytea not null,
        primary key (tenant, seq),
        unique (tenant, id)
      );
      -- The roots of complete subtrees above the leaves.
      create table audit.node (
        tenant text collate "C" not null,
        level int not null,
        idx bigint not null,
        hash bytea not null,
        primary key (tenant, level, idx)
      );
      create table audit.head (
        tenant text collate "C" primary key,
        size bigint not null,
        -- The roots of the complete subtrees, the largest first, 32 bytes each.
        frontier bytea not null,
        checkpoint text not null
      );
      -- What could not be read or may not be appended: kept whole, so that its partition can move on.
      create table audit.quarantine (
        topic text not null,
        partition int not null,
        record_offset bigint not null,
        reason text not null,
        value bytea not null,
        primary key (topic, partition, record_offset)
      );
      create function audit.refuse_change() returns trigger language plpgsql as $$
        begin raise exception '% is append-only', tg_table_name; end $$;
      create trigger entry_is_final before update or delete or truncate on audit.entry
        for each statement execute function audit.refuse_change();
      create trigger node_is_final before update or delete or truncate on audit.node
        for each statement execute function audit.refuse_change();
      create trigger head_stays before delete or truncate on audit.head
        for each statement execute function audit.refuse_change();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop schema audit cascade');
  }
}
