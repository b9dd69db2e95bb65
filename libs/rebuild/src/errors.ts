import type { TableComparison } from './runs.js';

/** Ends a rebuild with a sentence for whoever asked for it. After any other error it is tried again. */
export class RebuildFailed extends Error {
  /** @param tables how they compared, when it got as far. */
  constructor(
    message: string,
    readonly tables?: TableComparison[],
  ) {
    super(message);
  }
}
