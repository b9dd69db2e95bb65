import { z } from 'zod';
import { DisplayName, entityFields } from './names.js';
import { EVENT_TYPE_PATTERN, publishLimits } from './publish.js';

export const EventTypeName = z
  .string()
  .max(publishLimits.eventTypeChars)
  .regex(EVENT_TYPE_PATTERN, 'must be words of A-Z a-z 0-9 _ joined by dots');

const SCHEMA_BYTES = 65_536;

const bounded = {
  holds: (value: unknown) => new TextEncoder().encode(JSON.stringify(value ?? null)).length <= SCHEMA_BYTES,
  otherwise: { error: 'must be at most 64 KB', params: { rule: 'too_long' } },
};

const JsonSchema = z
  .union([z.record(z.string(), z.unknown()), z.boolean()])
  .refine(bounded.holds, bounded.otherwise)
  .meta({ description: 'A JSON Schema for the payloads. Kept as it is; a patch replaces it whole.' });
const Example = z
  .unknown()
  .refine(bounded.holds, bounded.otherwise)
  .meta({ description: 'An example payload; any JSON.' });
const Description = z.string().max(4_096);

export const CreateEventType = z
  .strictObject({
    name: EventTypeName,
    description: Description.default(''),
    schema: JsonSchema.nullable().default(null),
    example: Example.optional(),
    group: DisplayName.nullable().default(null),
    archived: z.boolean().default(false),
  })
  .meta({ id: 'CreateEventType' });
export type CreateEventType = z.infer<typeof CreateEventType>;

export const PatchEventType = z
  .strictObject({
    description: Description.nullable().optional(),
    schema: JsonSchema.nullable().optional(),
    example: Example.optional(),
    group: DisplayName.nullable().optional(),
    archived: z.boolean().optional(),
  })
  .meta({
    id: 'PatchEventType',
    description: '`schema` and `example` are replaced whole; null removes them.',
  });
export type PatchEventType = z.infer<typeof PatchEventType>;

export const EventType = z
  .object({
    ...entityFields,
    name: z.string(),
    description: z.string(),
    schema: z.union([z.record(z.string(), z.unknown()), z.boolean()]).nullable(),
    example: z.unknown(),
    group: z.string().nullable(),
    archived: z.boolean(),
  })
  .meta({ id: 'EventType' });
export type EventType = z.infer<typeof EventType>;
