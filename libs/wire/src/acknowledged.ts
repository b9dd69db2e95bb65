import type { WireProfile } from '@posthaste/contracts';

/** Whether a receiver of this profile says with this status that it has the message. A redirect never does. */
export function isAcknowledged(profile: WireProfile, status: number): boolean {
  return profile === 'linkup' ? status === 200 : status >= 200 && status < 300;
}
