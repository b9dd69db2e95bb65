import type { AttemptErrorClass, Timings } from '@posthaste/contracts';

/** One POST to a receiver. */
export interface EgressRequest {
  url: string;
  headers: Record<string, string>;
  body: Buffer;
  timeoutMs: number;
}

/** What came of it; a failure is a value. */
export type EgressResult =
  | {
      kind: 'response';
      status: number;
      headers: Record<string, string | string[]>;
      /** The first 16 KB, as sent: still compressed if it was. */
      body: Buffer;
      bodyTruncated: boolean;
      timings: Timings;
      /** `ip:port`. */
      address: string;
    }
  | {
      kind: 'failed';
      class: AttemptErrorClass;
      message: string;
      timings: Timings;
      address?: string | undefined;
    };
