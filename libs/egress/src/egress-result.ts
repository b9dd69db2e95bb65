import type { AttemptErrorClass, Timings } from '@posthaste/contracts';

/** One POST to a receiver. */
export interface EgressRequest {
  url: string;
  headers: Record<string, string>;
  body: Buffer;
  timeoutMs: number;
  /** What is kept of the response's body; 16 KB when not given. */
  keptBodyBytes?: number;
  /** What to show when the receiver asks who we are (mTLS); `id` changes whenever the rest does. */
  clientCertificate?: ClientIdentity;
}

/** A PEM chain and its PEM key. */
export interface ClientIdentity {
  chain: string;
  key: string;
  id: string;
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
      /** It makes no sense to try again before this has passed. */
      retryAfterMs?: number | undefined;
    };
