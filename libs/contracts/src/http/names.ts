import { z } from 'zod';

/** A caller's own id for an account or endpoint. Not `.` or `..`: clients resolve those out of a path. */
export const UID_PATTERN = /^(?!\.{1,2}$)[A-Za-z0-9_.:@-]{1,128}$/;

export const Uid = z
  .string()
  .regex(UID_PATTERN, 'must be 1 to 128 of A-Z a-z 0-9 _ . : @ - and more than one or two dots');

export const DisplayName = z.string().max(256);

export const Metadata = z
  .record(z.string().min(1).max(64), z.string().max(1_024))
  .refine((metadata) => Object.keys(metadata).length <= 50, {
    error: 'must have at most 50 entries',
    params: { rule: 'too_many' },
  })
  .meta({ description: "The caller's own notes; at most 50 entries. They change nothing." });

/** Entries to change; null removes one (RFC 7396). */
export const MetadataPatch = z.record(z.string(), z.string().nullable()).nullable();

export const Instant = z.iso.datetime().meta({ description: 'RFC 3339, UTC, milliseconds.' });

/** What every entity shows. */
export const entityFields = {
  id: z.string(),
  version: z.number().int().meta({ description: 'Counts the changes; the ETag in quotes.' }),
  created_at: Instant,
  updated_at: Instant,
};
