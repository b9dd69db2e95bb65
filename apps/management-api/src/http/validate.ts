import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import { checkUrl, type EgressPolicy, shownAs } from '@posthaste/egress';
import type { FieldError } from '@posthaste/runtime';
import type { z } from 'zod';
import { fieldProblem, pointerToken } from './refusals.js';

/** Validates what a handler's parameter declares with `{ schema }`; the schemas are those of contracts. */
export class ValidationPipe implements PipeTransform {
  transform(value: unknown, { schema, type, data }: ArgumentMetadata): unknown {
    if (!schema) return value;
    const place = type === 'query' ? '?' : type === 'param' ? ':' : '/';
    return checked(schema as unknown as z.ZodType, value, place, data);
  }
}

/**
 * The value as the schema reads it. A wrong field of a body is `validation_failed` (422), a wrong query or path
 * parameter `invalid_request` (400): the body was understood, the request line was not.
 */
export function checked<S extends z.ZodType>(
  schema: S,
  value: unknown,
  place: '/' | '?' | ':' = '/',
  name?: string,
): z.infer<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.flatMap((issue) => fieldErrors(issue, value, place, name));
  throw fieldProblem(errors, place === '/' ? 'validation_failed' : 'invalid_request');
}

/** The URL in the form to keep, or a Problem naming the rule it breaks. Whoever calls it parses it anyway. */
export function callable(url: string, pointer: string, egress: EgressPolicy): string {
  const verdict = checkUrl(url, egress);
  if (verdict.ok) return shownAs(url, verdict.href);
  throw fieldProblem([{ pointer, code: verdict.rule, message: verdict.message }]);
}

function fieldErrors(issue: z.core.$ZodIssue, value: unknown, place: string, name?: string): FieldError[] {
  const path = name === undefined ? issue.path : [name, ...issue.path];
  const pointer = (more: PropertyKey[] = []): string => {
    const parts = [...path, ...more].map((part) => pointerToken(String(part)));
    return place === '/' ? parts.map((part) => `/${part}`).join('') : `${place}${parts.join('/')}`;
  };
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      pointer: pointer([key]),
      code: 'unknown_field',
      message: 'is not a field of this request',
    }));
  }
  return [{ pointer: pointer(), code: ruleOf(issue, valueAt(value, issue.path)), message: messageOf(issue) }];
}

function ruleOf(issue: z.core.$ZodIssue, given: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return given === undefined ? 'required' : 'wrong_type';
    case 'too_big':
      return issue.origin === 'string' ? 'too_long' : issue.origin === 'number' ? 'too_large' : 'too_many';
    case 'too_small':
      return issue.origin === 'string' ? 'too_short' : issue.origin === 'number' ? 'too_small' : 'too_few';
    case 'custom':
      return typeof issue.params?.['rule'] === 'string' ? issue.params['rule'] : 'not_allowed';
    case 'invalid_key':
      return 'bad_name';
    case 'invalid_union':
      return 'no_match';
    default:
      return issue.code;
  }
}

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? issue.message;
  return issue.message.replace(/^Invalid input: /, '').replace(/^Too (big|small): /, '');
}

function valueAt(value: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key],
    value,
  );
}
