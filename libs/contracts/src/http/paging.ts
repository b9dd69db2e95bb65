import { z } from 'zod';

/** The query every list takes. */
export const PageQuery = z.strictObject({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(200)
    .default(50)
    .meta({ description: 'How many to answer at most.' }),
  cursor: z.string().max(1_000).optional().meta({
    description: 'The `next_cursor` of the page before. It fits only the list and filters it came from.',
  }),
});
export type PageQuery = z.infer<typeof PageQuery>;

/** The envelope every list is answered in, newest first. */
export function listOf<T extends z.ZodType>(item: T, id: string) {
  return z
    .object({
      data: z.array(item),
      next_cursor: z.string().nullable().meta({ description: 'Null on the last page.' }),
      has_more: z.boolean(),
    })
    .meta({ id });
}

const FieldProblem = z.object({
  pointer: z.string().meta({
    description: 'RFC 6901 pointer into the body, or `?name` (query), `:name` (path), or a header name.',
  }),
  code: z.string().meta({ description: 'The rule that was broken.' }),
  message: z.string(),
  offset: z
    .number()
    .int()
    .optional()
    .meta({ description: 'Where the body stops being JSON, in bytes from 0.' }),
});

/** What every refusal looks like (RFC 9457). */
export const ProblemDetails = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string().meta({ description: 'Stable; write code against this.' }),
    errors: z.array(FieldProblem).optional(),
    oldest: z.number().int().optional().meta({
      description:
        'With `feed_expired`: the sequence of the first item that is kept. Go on after the one before it.',
    }),
    request_id: z.string(),
  })
  .meta({ id: 'Problem' });
