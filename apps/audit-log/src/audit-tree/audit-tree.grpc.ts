import { originOf, type SigningKey } from '@posthaste/audit-tree';
import { Controller, Inject, UseFilters } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import {
  AUDIT_TREE_SERVICE,
  type ConsistencyReply,
  type ConsistencyRequest,
  type InclusionReply,
  type InclusionRequest,
  type ListTreeEntriesRequest,
  type SignedHeadReply,
  type TreeEntriesReply,
} from '@posthaste/contracts';
import type pg from 'pg';
import { AwayFilter } from '../history/away.filter.js';
import { HISTORY_READS } from '../history/history.grpc.js';
import { proveConsistency, proveInclusion } from './prove.js';
import { getHead, listEntries } from './sql/select-tree.js';

export const AUDIT_KEYS = Symbol('AUDIT_KEYS');

/** Answers with what is stored and signed already: a read signs nothing, whatever somebody made of the tables. */
@UseFilters(AwayFilter)
@Controller()
export class AuditTreeController {
  constructor(
    @Inject(HISTORY_READS) private readonly reads: pg.Pool,
    @Inject(AUDIT_KEYS) private readonly keys: SigningKey[],
  ) {}

  @GrpcMethod(AUDIT_TREE_SERVICE, 'GetCheckpoint')
  async getCheckpoint({ tenant }: { tenant: string }): Promise<SignedHeadReply> {
    const head = await getHead(this.reads, tenant);
    return { ...head, public_keys: this.keys.map((key) => key.verifierFor(originOf(tenant))) };
  }

  @GrpcMethod(AUDIT_TREE_SERVICE, 'ListEntries')
  async listEntries(request: ListTreeEntriesRequest): Promise<TreeEntriesReply> {
    const data = await listEntries(this.reads, request);
    return { data, size: (await getHead(this.reads, request.tenant))?.size ?? 0 };
  }

  @GrpcMethod(AUDIT_TREE_SERVICE, 'ProveInclusion')
  proveInclusion(request: InclusionRequest): Promise<InclusionReply> {
    return proveInclusion(this.reads, request);
  }

  @GrpcMethod(AUDIT_TREE_SERVICE, 'ProveConsistency')
  proveConsistency(request: ConsistencyRequest): Promise<ConsistencyReply> {
    return proveConsistency(this.reads, request);
  }
}
