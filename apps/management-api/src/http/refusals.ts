import type { Permission } from '@posthaste/contracts';
import { type FieldError, Problem, type ProblemCode } from '@posthaste/runtime';

// The refusals that several features share, so that a caller meets one wording, one pointer and one rule for each.

/** A body of a megabyte can be wrong in a hundred thousand places; the first few say enough. */
const ERRORS_SHOWN = 20;
/** A name can be as long as the body; nobody needs it back in full. */
const NAME_CHARS = 128;

/** One or more fields that broke a rule; the first one is the detail. */
export function fieldProblem(errors: FieldError[], code: ProblemCode = 'validation_failed'): Problem {
  const [first] = errors;
  const detail = first && `${first.pointer === '' ? 'The body' : first.pointer} ${first.message}.`;
  return new Problem(code, detail, errors.slice(0, ERRORS_SHOWN));
}

/** The part of a pointer that names a member or parameter (RFC 6901: `~` and `/` are escaped). */
export function pointerToken(name: string): string {
  return name.slice(0, NAME_CHARS).replaceAll('~', '~0').replaceAll('/', '~1');
}

/** What is not there, or not within the key's reach: nobody can tell the two apart. */
export function absent(what: string, pointer: string): Problem {
  const message = 'names nothing this key can see';
  return new Problem('not_found', `There is no such ${what}.`, [{ pointer, code: 'absent', message }]);
}

/** The key is missing, or opens nothing (any more). */
export function unauthenticated(authorization: string | undefined): Problem {
  return new Problem('unauthenticated', 'Send a valid API key as Authorization: Bearer <key>.', [
    authorization === undefined
      ? { pointer: 'authorization', code: 'required', message: 'is required' }
      : { pointer: 'authorization', code: 'invalid_key', message: 'holds no key that is valid now' },
  ]);
}

const KEY_NAMES = { operator: 'the operator key', tenant: 'a tenant key', account: 'an account key' };

/** The key is good, but not for this. */
export function forbidden(needed: readonly (keyof typeof KEY_NAMES)[]): Problem {
  const names = needed.map((kind) => KEY_NAMES[kind]).join(' or ');
  return new Problem('forbidden', `This needs ${names}.`, [
    { pointer: 'authorization', code: 'wrong_key', message: `must be ${names}` },
  ]);
}

/** The key is of the right kind, and was made for other things. */
export function notPermitted(needed: Permission | undefined): Problem {
  const what = needed ?? 'all';
  return new Problem('forbidden', `This needs a key with the permission ${what}.`, [
    { pointer: 'authorization', code: `needs_${what}`, message: `lacks the permission ${what}` },
  ]);
}

export function unsupportedMediaType(detail: string): Problem {
  return new Problem('unsupported_media_type', detail, [
    { pointer: 'content-type', code: 'not_served', message: 'is not served here' },
  ]);
}

export function databaseAway(): Problem {
  return new Problem('unavailable', 'The configuration database cannot be reached.', [], 1);
}
