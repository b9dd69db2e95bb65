import { z } from 'zod';

/** Who did what to which entity. Written in the transaction of the change, relayed to the topic `audit`. */
export const AuditEntry = z.object({
  type: z.literal('ConfigurationChanged'),
  v: z.literal(1),
  /** `aud_...` */
  id: z.string(),
  tenant: z.string(),
  /** The key that asked, `operator`, or `system`: what we do of ourselves. */
  actor: z.string(),
  /** The address the request came from; empty when it was the system, whose request id is what made it act. */
  from: z.string(),
  requestId: z.string(),
  at: z.number().int(),
  /** A verb in the past participle on an entity, such as `endpoint.created`. */
  action: z.string(),
  entity: z.object({ kind: z.string(), id: z.string(), version: z.number().int() }),
  /** Names of the fields that changed; never their values where they are secret. */
  changed: z.array(z.string()),
});
export type AuditEntry = z.infer<typeof AuditEntry>;
