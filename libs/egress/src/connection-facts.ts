import type { TlsFacts } from '@posthaste/contracts';
import { EgressError } from './failure.js';

/** What is found out about a connection while it is made; stays with it for every request it carries. */
export interface ConnectionFacts {
  phase: 'resolving' | 'connecting' | 'tunnelling' | 'securing' | 'open';
  /** By performance.now. */
  startedAt: number;
  connectedAt?: number;
  /** Absent for a literal address. */
  dnsMs?: number | undefined;
  tlsMs?: number;
  /** `ip:port`, once reached. */
  address?: string;
  tls?: TlsFacts;
}

export function newFacts(): ConnectionFacts {
  return { phase: 'resolving', startedAt: performance.now() };
}

/** Time was up in this phase: what was being waited for names the failure. */
export function overdue(phase: ConnectionFacts['phase'], code: string): EgressError {
  switch (phase) {
    case 'resolving':
      return new EgressError('dns', code);
    case 'connecting':
      return new EgressError('connect_timeout', code);
    case 'tunnelling':
      return new EgressError('proxy', code);
    case 'securing':
      return new EgressError('tls_handshake', code);
    case 'open':
      return new EgressError('timeout', code);
  }
}
