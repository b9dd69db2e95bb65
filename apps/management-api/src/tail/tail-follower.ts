import { eventFrame } from '../feeds/index.js';
import { type Place, placeText } from './place.js';
import type { AttemptFacts, RecentRecord } from './recent-records.js';

/** Which attempts one wants. Tenant and, for an account's key, account come from the key. */
export interface Wanted {
  tenant: string;
  account: string | null;
  endpoint: string | null;
  eventType?: string | undefined;
  outcome?: string | undefined;
  status?: string | undefined;
  errorClass?: string | undefined;
  statusCode?: number | undefined;
}

/** An event stream, to a follower. */
export interface TailSink {
  send(frame: Buffer): Promise<void> | undefined;
  end(comment: string): void;
}

/**
 * Why a stream is ended while its client would go on; each comes again by itself, and is told then if it cannot.
 * `behind`: it does not take what it is sent. `gone`: its key is. `interrupted`: the log cannot be read.
 */
type TailEnd = 'behind' | 'gone' | 'interrupted';

/** One who follows the tail, and how far it has got. Nothing is kept for it but its place. */
export class TailFollower {
  /** False from the time it has more than it can take until it has taken it. */
  ready = true;
  isClosed = false;
  /** The number of the record of its reader that it looks at next. */
  reads = 0;
  private toldAt: string | undefined;

  constructor(
    readonly wanted: Wanted,
    readonly place: Place,
    private readonly sink: TailSink,
    /** The id of the key it reads with. */
    readonly key: string,
  ) {}

  /** @param onReady called when it can take more, if it cannot right now. */
  take(record: RecentRecord, onReady: () => void): void {
    const { partition, offset, appendedAt } = record;
    // It had it from another reader, or before it came.
    if (offset < (this.place.next[partition] ?? 0)) return;
    this.place.next[partition] = offset + 1;
    if (appendedAt !== null) this.place.atMs = appendedAt;
    if (!record.mayBe(this.wanted)) return;
    const attempt = record.attempt();
    if (attempt === null || !isWanted(attempt.facts, this.wanted)) return;
    this.send('message', attempt.json, onReady);
  }

  /** Tells it where it is, so that it need not go back to its last attempt when it comes again. */
  tellPlace(onReady: () => void): void {
    if (this.ready && placeText(this.place) !== this.toldAt) this.send('position', '{}', onReady);
  }

  end(reason: TailEnd): void {
    if (!this.isClosed) this.sink.end(reason);
    this.isClosed = true;
  }

  private send(event: string, data: Buffer | string, onReady: () => void): void {
    this.toldAt = placeText(this.place);
    const room = this.sink.send(eventFrame({ event, data, id: this.toldAt }));
    if (room === undefined) return;
    this.ready = false;
    void room.then(() => {
      this.ready = true;
      if (!this.isClosed) onReady();
    });
  }
}

function isWanted(facts: AttemptFacts, wanted: Wanted): boolean {
  return (
    facts.tenant === wanted.tenant &&
    (wanted.account === null || facts.account === wanted.account) &&
    (wanted.endpoint === null || facts.endpoint === wanted.endpoint) &&
    (wanted.eventType === undefined || facts.eventType === wanted.eventType) &&
    (wanted.outcome === undefined || facts.outcome === wanted.outcome) &&
    (wanted.status === undefined || facts.status === wanted.status) &&
    (wanted.errorClass === undefined || facts.errorClass === wanted.errorClass) &&
    (wanted.statusCode === undefined || facts.statusCode === wanted.statusCode)
  );
}
