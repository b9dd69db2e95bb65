import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { EntityKind } from '../changes/changes.js';
import { raiseTenant } from '../changes/tenant-counter.js';

@Entity({ schema: 'config', name: 'event_type' })
export class EventTypeRow {
  @PrimaryColumn('text') id: string;
  @Column('text') tenant: string;
  @Column('text') name: string;
  @Column('int') version: number;
  @Column('text') description: string;
  @Column('jsonb', { name: 'json_schema', nullable: true }) schema: Record<string, unknown> | boolean | null;
  @Column('jsonb', { nullable: true }) example: unknown;
  @Column('text', { name: 'group_name', nullable: true }) group: string | null;
  @Column('boolean') archived: boolean;
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
  @Column('timestamptz', { name: 'updated_at' }) updatedAt: Date;
  @Column('timestamptz', { name: 'deleted_at', nullable: true }) deletedAt: Date | null;
}

export const eventTypeKind: EntityKind<EventTypeRow> = {
  name: 'event_type',
  target: EventTypeRow,
  place: ({ tenant }) => ({ tenant, account: null }),
  raise: (manager, { tenant }) => raiseTenant(manager, tenant),
  state: ({ id, version, tenant, name, description, schema, example, group, archived, deletedAt }) => ({
    id,
    version,
    tenant,
    name,
    description,
    schema,
    example,
    group,
    archived,
    deleted: deletedAt !== null,
  }),
  published: () => null,
};
