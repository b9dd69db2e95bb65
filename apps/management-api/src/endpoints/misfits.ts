import type { EndpointInput } from '@posthaste/contracts';
import type { FieldError } from '@posthaste/runtime';
import { fieldProblem } from '../http/refusals.js';

// What is right by itself and wrong beside the endpoint's mode or profile.

/** What only a request has, and a feed sends none. */
const ofPush = ['url', 'shadow_url', 'oauth', 'client_certificate'] as const;
const FIXED = ['mode', 'profile'];

export function refuseMisfits(input: EndpointInput): void {
  const errors: FieldError[] = [];
  if (input.mode === 'push' && input.url === '') {
    errors.push({ pointer: '/url', code: 'required', message: 'is required' });
  }
  for (const field of input.mode === 'feed' ? ofPush : []) {
    if (input[field] !== null && input[field] !== '') {
      errors.push({ pointer: `/${field}`, code: 'not_for_feeds', message: 'is not for a feed' });
    }
  }
  if (input.include !== null && input.profile !== 'middesk') {
    errors.push({ pointer: '/include', code: 'other_profile', message: 'is for profile middesk' });
  }
  if (errors.length > 0) throw fieldProblem(errors);
}

/** An endpoint's receiver cannot follow when requests begin to look otherwise: that takes a new endpoint. */
export function refuseFixed(changed: readonly string[]): void {
  const fixed = changed.filter((field) => FIXED.includes(field));
  if (fixed.length === 0) return;
  throw fieldProblem(
    fixed.map((field) => ({ pointer: `/${field}`, code: 'fixed', message: 'is fixed at creation' })),
  );
}
