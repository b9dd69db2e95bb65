import { z } from 'zod';

const Sequence = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const Size = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const Hash = z.string().regex(/^[0-9a-f]{64}$/);
const Path = z.array(Hash).meta({ description: 'SHA-256 hashes, in hexadecimal, in the order of RFC 9162.' });

export const AuditEntriesQuery = z.strictObject({
  from: Sequence.default(0).meta({ description: 'The first sequence to answer.' }),
  limit: z.coerce.number().int().min(1).max(1_000).default(100).meta({
    description: 'How many to answer at most.',
  }),
});
export type AuditEntriesQuery = z.infer<typeof AuditEntriesQuery>;

/** One entry of the audit log: what happened, and what proves it. */
export const LoggedEntry = z
  .object({
    sequence: z.number().int().meta({ description: 'Its place in the tree, from 0 on, without gaps.' }),
    entry: z
      .object({
        id: z.string(),
        tenant: z.string(),
        action: z
          .string()
          .meta({ description: 'Such as `endpoint.updated`, `replay.started`, `delivery.resent`.' }),
        entity: z.object({ kind: z.string(), id: z.string(), version: z.number().int() }),
        actor: z.string().meta({
          description: "Who: a key's id, `operator`, or `system` for what Posthaste does of itself.",
        }),
        from: z.string().meta({ description: 'The address the request came from; empty for `system`.' }),
        at: z.number().int().meta({ description: 'When, in milliseconds since 1970.' }),
        changed: z
          .array(z.string())
          .meta({ description: 'Names of the fields that changed. Never their values.' }),
      })
      .nullable()
      .meta({
        description:
          'What `canonical` says. Null when it cannot be read, which is proof that it was altered.',
      }),
    canonical: z.string().meta({
      description: 'The entry as canonical JSON (RFC 8785): the bytes that were hashed.',
    }),
    leaf_hash: Hash.meta({ description: 'SHA-256 of a zero byte and `canonical`.' }),
    signature: z.string().meta({
      description:
        'Over the head of the tree that ends with this entry, as a signature line of a checkpoint has it.',
    }),
  })
  .meta({ id: 'LoggedEntry' });
export type LoggedEntry = z.infer<typeof LoggedEntry>;

export const AuditEntryList = z
  .object({
    data: z.array(LoggedEntry),
    size: z.number().int().meta({ description: 'How many entries the tree has.' }),
    next_from: z.number().int().nullable().meta({ description: 'Where to go on; null on the last page.' }),
    has_more: z.boolean(),
  })
  .meta({ id: 'AuditEntryList' });
export type AuditEntryList = z.infer<typeof AuditEntryList>;

export const AuditCheckpoint = z
  .object({
    size: z.number().int(),
    root: Hash,
    checkpoint: z.string().meta({
      description: 'The signed head, in the form of C2SP tlog-checkpoint and signed-note, with Ed25519.',
    }),
    public_keys: z.array(z.string()).meta({
      description:
        'Keys that verify it, in the form `name+id+key` of C2SP signed-note. Keep them with a head you save.',
    }),
  })
  .meta({ id: 'AuditCheckpoint' });
export type AuditCheckpoint = z.infer<typeof AuditCheckpoint>;

export const InclusionQuery = z.strictObject({
  sequence: Sequence,
  size: Size.optional().meta({ description: 'Of the tree it is proven to be in; as it is now when absent.' }),
});
export type InclusionQuery = z.infer<typeof InclusionQuery>;

export const InclusionProof = z
  .object({ sequence: z.number().int(), size: z.number().int(), leaf_hash: Hash, root: Hash, path: Path })
  .meta({ id: 'InclusionProof' });
export type InclusionProof = z.infer<typeof InclusionProof>;

export const ConsistencyQuery = z.strictObject({
  from: Size.meta({ description: 'The size of the older tree.' }),
  to: Size.optional().meta({ description: 'The size of the newer one; as it is now when absent.' }),
});
export type ConsistencyQuery = z.infer<typeof ConsistencyQuery>;

export const ConsistencyProof = z
  .object({ from: z.number().int(), to: z.number().int(), from_root: Hash, to_root: Hash, path: Path })
  .meta({ id: 'ConsistencyProof' });
export type ConsistencyProof = z.infer<typeof ConsistencyProof>;
