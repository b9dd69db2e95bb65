import type { SigningSecret } from './signing-key.js';

export interface WireMessage {
  id: string;
  contentType: string;
  payload: Buffer;
}

export interface WireEndpoint {
  /** As `customHeaders` made them. */
  headers: Readonly<Record<string, string>>;
  /** Newest first. At least one must be live. */
  secrets: readonly SigningSecret[];
}

export interface Rendered {
  headers: Record<string, string>;
  body: Buffer;
}

/** @param now milliseconds since 1970, the start of the attempt */
export type Profile = (
  message: WireMessage,
  endpoint: WireEndpoint,
  attempt: number,
  now: number,
) => Rendered;
