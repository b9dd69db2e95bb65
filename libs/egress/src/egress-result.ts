import type { AttemptErrorClass, Timings, TlsFacts } from '@posthaste/contracts';
import type { ClientCertificate } from './tls-upgrade.js';

/** One request to a receiver, or to another server its owner named. */
export interface EgressRequest {
  url: string;
  /** POST when not given. */
  method?: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: Buffer;
  timeoutMs: number;
  /** Shown where the server asks for one; connections made with it are used for no other. */
  certificate?: ClientCertificate | undefined;
  /** How much of the response's body is kept; 16 KB when not given. */
  keptBodyBytes?: number;
}

/** What came of it; a failure is a value. */
export type EgressResult =
  | {
      kind: 'response';
      status: number;
      headers: Record<string, string | string[]>;
      /** Its first bytes, as sent: still compressed if they were. */
      body: Buffer;
      bodyTruncated: boolean;
      timings: Timings;
      /** `ip:port`. */
      address: string;
      /** Of https only. */
      tls?: TlsFacts | undefined;
    }
  | {
      kind: 'failed';
      class: AttemptErrorClass;
      message: string;
      timings: Timings;
      address?: string | undefined;
      tls?: TlsFacts | undefined;
      /** It makes no sense to try again before this has passed. */
      retryAfterMs?: number | undefined;
    };
