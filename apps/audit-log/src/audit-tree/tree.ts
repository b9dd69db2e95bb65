import {
  checkpointText,
  Frontier,
  HASH_BYTES,
  originOf,
  parseCheckpoint,
  type SigningKey,
  type TreeHead,
  type TreeNode,
  Verifiers,
} from '@posthaste/audit-tree';

/** Where a tenant's tree ends, as it is stored. */
export interface StoredHead {
  size: number;
  frontier: Buffer;
  checkpoint: string;
}

interface NewEntry {
  id: string;
  canonical: Buffer;
  leaf: Buffer;
}

/** What a batch adds to a tenant's tree. */
export interface Growth {
  tenant: string;
  entries: (NewEntry & { sequence: number; signature: Buffer })[];
  /** Above the leaves. */
  nodes: TreeNode[];
  head: StoredHead;
}

/** A tenant's tree while a batch is appended to it. */
export class Tree {
  /** Whether the stored head is the one we signed last; of a tree that begins now it is. */
  readonly isAsSigned: boolean;
  private readonly origin: string;
  private readonly frontier: Frontier;
  private readonly entries: Growth['entries'] = [];
  private readonly nodes: TreeNode[] = [];

  constructor(
    private readonly tenant: string,
    private readonly keys: SigningKey[],
    stored: StoredHead | undefined,
  ) {
    this.origin = originOf(tenant);
    const frontier = stored === undefined ? new Frontier() : frontierOf(stored);
    this.frontier = frontier ?? new Frontier();
    this.isAsSigned = stored === undefined || (frontier !== null && this.isSigned(stored.checkpoint));
  }

  append(entry: NewEntry): void {
    const sequence = this.frontier.size;
    this.nodes.push(...this.frontier.append(entry.leaf).filter(({ level }) => level > 0));
    const [current] = this.keys as [SigningKey];
    this.entries.push({ ...entry, sequence, signature: current.sign(this.head()) });
  }

  growth(): Growth {
    const { tenant, entries, nodes, frontier } = this;
    const head = this.head();
    const signatures = this.keys.map((key) => key.sign(head));
    return {
      ...{ tenant, entries, nodes },
      head: {
        size: frontier.size,
        frontier: Buffer.concat(frontier.peaks),
        checkpoint: checkpointText(head, signatures),
      },
    };
  }

  private head(): TreeHead {
    return { origin: this.origin, size: this.frontier.size, root: this.frontier.root() };
  }

  private isSigned(text: string): boolean {
    const verifiers = new Verifiers(
      this.origin,
      this.keys.map((key) => key.verifierFor(this.origin)),
    );
    return verifiers.accept(this.head(), parseCheckpoint(text)?.signatures ?? []);
  }
}

function frontierOf({ size, frontier }: StoredHead): Frontier | null {
  const peaks = Array.from({ length: frontier.length / HASH_BYTES }, (_, i) =>
    frontier.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  );
  try {
    return new Frontier(size, peaks);
  } catch {
    return null;
  }
}
