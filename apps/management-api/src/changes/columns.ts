import type { ValueTransformer } from 'typeorm';

/** bigint columns as numbers: versions stay far below 2^53. */
export const asNumber: ValueTransformer = {
  to: (value: number) => value,
  from: (value: string | null) => (value === null ? null : Number(value)),
};
