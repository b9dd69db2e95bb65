import type { MessageMeta } from '@posthaste/contracts';
import type { SigningSecret } from './signing-key.js';

/** What a profile may tell of a message; `standard` looks at no more than its id and its bytes. */
export interface WireMessage extends Pick<
  MessageMeta,
  'id' | 'account' | 'type' | 'at' | 'tags' | 'subject' | 'contentType'
> {
  payload: Buffer;
  /** Its place in its account's order; undefined where that is not known, as of a test. */
  position?: string | undefined;
}

export interface WireEndpoint {
  /** As `customHeaders` made them. */
  headers: Readonly<Record<string, string>>;
  /** Newest first. Of standard and ada at least one must be live. */
  secrets: readonly SigningSecret[];
  /** Profile `middesk`: the members of `data.object` that are sent beside its scalars; null = all. */
  include: readonly string[] | null;
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
