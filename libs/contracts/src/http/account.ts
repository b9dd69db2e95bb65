import { z } from 'zod';
import { DisplayName, entityFields, Metadata, MetadataPatch } from './names.js';

export const PutAccount = z
  .strictObject({ name: DisplayName.default(''), metadata: Metadata.default({}) })
  .meta({ id: 'PutAccount' });
export type PutAccount = z.infer<typeof PutAccount>;

export const PatchAccount = z
  .strictObject({ name: DisplayName.nullable().optional(), metadata: MetadataPatch.optional() })
  .meta({ id: 'PatchAccount', description: 'JSON merge patch (RFC 7396).' });

export const Account = z
  .object({
    ...entityFields,
    uid: z.string(),
    name: z.string(),
    metadata: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Account' });
export type Account = z.infer<typeof Account>;
