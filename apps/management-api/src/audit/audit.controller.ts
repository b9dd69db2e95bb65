import { Controller, Get, Inject, Query } from '@nestjs/common';
import {
  AuditCheckpoint,
  AuditEntriesQuery,
  AuditEntryList,
  ConsistencyProof,
  ConsistencyQuery,
  InclusionProof,
  InclusionQuery,
} from '@posthaste/contracts';
import { type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { Audit } from './audit.js';

/** A tenant's keys only: the log is of all its accounts. */
const common = { tag: 'Audit', access: ['tenant'], needs: 'audit:read', status: 200 } as const;

@Controller('v1/audit')
export class AuditController {
  constructor(@Inject(Audit) private readonly audit: Audit) {}

  @Get('entries')
  @Operation({
    ...common,
    id: 'listAuditEntries',
    summary: 'List who did what',
    description:
      'Every change of configuration and every command (resend, recover, cancel, test, reading or rotating a secret, ' +
      'keys), oldest first, within a second of the answer to it. Messages are none. Entries are never changed or deleted.',
    answers: AuditEntryList,
  })
  async entries(@Within() { tenant }: Reach, @Query({ schema: AuditEntriesQuery }) query: AuditEntriesQuery) {
    return this.audit.entries(tenant, query);
  }

  @Get('checkpoint')
  @Operation({
    ...common,
    id: 'getAuditCheckpoint',
    summary: 'Read the signed head of the audit tree',
    description:
      'Save it outside of here: what was in the tree then can never be changed, removed or reordered unseen. The entries ' +
      'are the leaves of an RFC 9162 Merkle tree.',
    answers: AuditCheckpoint,
    problems: [404],
  })
  async checkpoint(@Within() { tenant }: Reach) {
    return this.audit.checkpoint(tenant);
  }

  @Get('proof/inclusion')
  @Operation({
    ...common,
    id: 'proveAuditInclusion',
    summary: 'Prove that an entry is in the tree',
    description: 'An inclusion proof of RFC 9162, section 2.1.3.',
    answers: InclusionProof,
  })
  async inclusion(@Within() { tenant }: Reach, @Query({ schema: InclusionQuery }) query: InclusionQuery) {
    return this.audit.inclusion(tenant, query);
  }

  @Get('proof/consistency')
  @Operation({
    ...common,
    id: 'proveAuditConsistency',
    summary: 'Prove that an older tree is the beginning of a newer one',
    description: 'A consistency proof of RFC 9162, section 2.1.4.',
    answers: ConsistencyProof,
  })
  async consistency(
    @Within() { tenant }: Reach,
    @Query({ schema: ConsistencyQuery }) query: ConsistencyQuery,
  ) {
    return this.audit.consistency(tenant, query);
  }
}
