import type { Observable } from 'rxjs';

/** The TypeScript face of the service `AuditTree` in `proto/history.proto`. gRPC leaves out what is zero or empty. */
export const AUDIT_TREE_SERVICE = 'AuditTree';

export interface SignedHeadReply {
  checkpoint?: string | undefined;
  size?: number;
  public_keys: string[];
}

export interface ListTreeEntriesRequest {
  tenant: string;
  from?: number;
  limit: number;
}

export interface StoredTreeEntry {
  sequence?: number;
  canonical?: Buffer;
  leaf_hash: Buffer;
  signature: Buffer;
}

export interface TreeEntriesReply {
  data: StoredTreeEntry[];
  size?: number;
}

export interface InclusionRequest {
  tenant: string;
  sequence?: number;
  size?: number | undefined;
}

export interface InclusionReply {
  proof?: { size: number; leaf_hash: Buffer; root: Buffer; path: Buffer[] } | undefined;
  tree_size?: number;
}

export interface ConsistencyRequest {
  tenant: string;
  from?: number;
  to?: number | undefined;
}

export interface ConsistencyReply {
  proof?: { to: number; from_root: Buffer; to_root: Buffer; path: Buffer[] } | undefined;
  tree_size?: number;
}

export interface AuditTreeClient {
  getCheckpoint(request: { tenant: string }): Observable<SignedHeadReply>;
  listEntries(request: ListTreeEntriesRequest): Observable<TreeEntriesReply>;
  proveInclusion(request: InclusionRequest): Observable<InclusionReply>;
  proveConsistency(request: ConsistencyRequest): Observable<ConsistencyReply>;
}
