import {
  type CreateEventType,
  type EventType,
  EventTypeName,
  newId,
  type PageQuery,
  type PatchEventType,
} from '@posthaste/contracts';
import { Problem } from '@posthaste/runtime';
import { type DataSource, type EntityManager, IsNull } from 'typeorm';
import type { Author, Reach } from '../access/principal.js';
import { type Changes, isTaken } from '../changes/changes.js';
import type { Cursors, Page } from '../http/cursors.js';
import { requireMatch } from '../http/if-match.js';
import { listPage } from '../http/listing.js';
import { changedFields } from '../http/merge-patch.js';
import { absent } from '../http/refusals.js';
import { eventTypeKind, EventTypeRow } from './event-type.entity.js';

/** The tenant's catalogue of what it may publish, by name. */
export class EventTypes {
  constructor(
    private readonly database: DataSource,
    private readonly changes: Changes,
    private readonly cursors: Cursors,
  ) {}

  async get(reach: Reach, name: string): Promise<EventTypeRow> {
    return find(this.database.manager, reach, name);
  }

  /** The example payload of an event type; undefined when it has none, or is not in the catalogue. */
  async exampleOf({ tenant }: Reach, name: string): Promise<unknown> {
    const row = await this.database.manager.findOneBy(EventTypeRow, { tenant, name, deletedAt: IsNull() });
    return row?.example ?? undefined;
  }

  async list({ tenant }: Reach, page: PageQuery): Promise<Page<EventType>> {
    return listPage(
      this.cursors,
      this.database.manager,
      {
        rows: EventTypeRow,
        list: { tenant, route: 'event-types' },
        where: { tenant, deletedAt: IsNull() },
        view: eventTypeView,
      },
      page,
    );
  }

  /** Everything that may be published, by name. */
  async offered({ tenant }: Reach): Promise<EventTypeRow[]> {
    return this.database.manager.find(EventTypeRow, {
      where: { tenant, archived: false, deletedAt: IsNull() },
      order: { name: 'ASC' },
    });
  }

  async create(author: Author, { tenant }: Reach, input: CreateEventType): Promise<EventTypeRow> {
    return this.changes
      .make(author, async (draft) => {
        const row = Object.assign(new EventTypeRow(), input, {
          id: newId('eventType', draft.at.getTime()),
          tenant,
          example: input.example ?? null,
          version: 0,
          createdAt: draft.at,
          deletedAt: null,
        });
        await draft.write(eventTypeKind, row, 'event_type.created', Object.keys(input));
        return row;
      })
      .catch((error: unknown) => {
        if (!isTaken(error)) throw error;
        throw new Problem('conflict', 'There is an event type of this name.', [
          { pointer: '/name', code: 'taken', message: 'is in the catalogue already' },
        ]);
      });
  }

  async patch(
    author: Author,
    reach: Reach,
    name: string,
    { description, ...rest }: PatchEventType,
    ifMatch?: string,
  ): Promise<EventTypeRow> {
    return this.changes.make(author, async (draft) => {
      const row = await find(draft.manager, reach, name, true);
      requireMatch(ifMatch, row.version);
      const patch = { ...rest, ...(description === undefined ? {} : { description: description ?? '' }) };
      const changed = changedFields(row, patch);
      Object.assign(row, patch);
      await draft.write(eventTypeKind, row, 'event_type.updated', changed);
      return row;
    });
  }

  async remove(author: Author, reach: Reach, name: string, ifMatch?: string): Promise<void> {
    await this.changes.make(author, async (draft) => {
      const row = await find(draft.manager, reach, name, true);
      requireMatch(ifMatch, row.version);
      row.deletedAt = draft.at;
      await draft.write(eventTypeKind, row, 'event_type.deleted', ['deleted']);
    });
  }
}

/** For a change the tenant's row is locked first, as every change of an event type must. */
async function find(
  manager: EntityManager,
  { tenant }: Reach,
  name: string,
  lock = false,
): Promise<EventTypeRow> {
  if (lock) await manager.query('select 1 from config.tenant where id = $1 for no key update', [tenant]);
  const row = EventTypeName.safeParse(name).success
    ? await manager.findOneBy(EventTypeRow, { tenant, name, deletedAt: IsNull() })
    : null;
  if (!row) throw absent('event type', ':name');
  return row;
}

export function eventTypeView(row: EventTypeRow): EventType {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    schema: row.schema,
    example: row.example,
    group: row.group,
    archived: row.archived,
    version: row.version,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
