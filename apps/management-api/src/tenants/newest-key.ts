import type { WrappedKey } from '@posthaste/contracts';

/** Of a tenant's data keys the one to seal with. */
export function newestKey([dataKey]: WrappedKey[], tenant: string): WrappedKey {
  if (!dataKey) throw new Error(`tenant ${tenant} has no data key`);
  return dataKey;
}
