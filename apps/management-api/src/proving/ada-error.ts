import type { RestAnswer } from '@posthaste/test-kit';
import { z } from 'zod';

const AdaErrors = z.strictObject({
  errors: z.tuple([
    z.strictObject({
      type: z.string().regex(/^[a-z_]+$/),
      message: z.string().min(1),
      details: z
        .array(
          z.strictObject({
            parameter: z.string().startsWith('$'),
            location: z.enum(['body', 'query']),
            message: z.string().min(1),
          }),
        )
        .min(1)
        .nullable(),
    }),
  ]),
});

/**
 * What a refusal of Ada's API says, in short: `[400, 'validation_error', '$.url']`, with the location where it is not the
 * body. Throws when the answer is in any other form than Ada's.
 */
export function adaErrorOf({ status, headers, bytes, json }: RestAnswer): [number, string, ...string[]] {
  const contentType = headers.get('content-type');
  if (status < 400 || !/^application\/json(;|$)/.test(contentType ?? '')) {
    throw new Error(`answered ${status} with ${contentType}: ${bytes.toString()}`);
  }
  const [{ type, details }] = AdaErrors.parse(json).errors;
  if ((type === 'validation_error') !== (details !== null)) throw new Error(`details of ${type}`);
  const places = (details ?? []).map(({ parameter, location }) =>
    location === 'body' ? parameter : `${location} ${parameter}`,
  );
  return [status, type, ...places];
}
