export { canonicalJson } from './canonical-json.js';
export {
  checkpointText,
  originOf,
  parseCheckpoint,
  SigningKey,
  Verifiers,
  type TreeHead,
} from './checkpoint.js';
export {
  foldSubtrees,
  Frontier,
  HASH_BYTES,
  leafHash,
  nodeHash,
  subtreesOf,
  type NodeRef,
  type TreeNode,
} from './merkle-tree.js';
export {
  consistencySpans,
  inclusionSpans,
  rootsOf,
  type Span,
  verifyConsistency,
  verifyInclusion,
} from './proofs.js';
export { headFile, SavedHead, type HeadFile } from './saved-head.js';
export { TreeCheck, type AuditRow, type SignedTree, type TreeFlaw } from './tree-check.js';
