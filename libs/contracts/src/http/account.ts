import { z } from 'zod';
import { DisplayName, entityFields, Metadata, MetadataPatch } from './names.js';

const ReceivesOperatorEvents = z.boolean().meta({
  description:
    'Whether its endpoints are sent `endpoint.warning`, `endpoint.disabled`, `endpoint.recovered` and `message.attempts_exhausted` about the endpoints of all other accounts.',
});

export const PutAccount = z
  .strictObject({
    name: DisplayName.default(''),
    receives_operator_events: ReceivesOperatorEvents.default(false),
    metadata: Metadata.default({}),
  })
  .meta({ id: 'PutAccount' });
export type PutAccount = z.infer<typeof PutAccount>;

export const PatchAccount = z
  .strictObject({
    name: DisplayName.nullable().optional(),
    receives_operator_events: ReceivesOperatorEvents.nullable().optional(),
    metadata: MetadataPatch.optional(),
  })
  .meta({ id: 'PatchAccount', description: 'JSON merge patch (RFC 7396).' });

export const Account = z
  .object({
    ...entityFields,
    uid: z.string(),
    name: z.string(),
    receives_operator_events: z.boolean(),
    metadata: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Account' });
export type Account = z.infer<typeof Account>;
