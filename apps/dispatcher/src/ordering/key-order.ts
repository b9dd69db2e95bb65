/**
 * In which order the deliveries of one ordering key to one endpoint may be sent: strictly by position, one at a time.
 *
 * A delivery of a key is, as far as this process knows,
 *   waiting  here, for its turn
 *   running  here; of each key at most one
 *   away     owed, but not here: put off, or waiting for its retry. The scheduler brings it back, in order
 * and is forgotten when it is settled. What is away holds up all that come after it: these go away too, since a process
 * must not keep for hours what a receiver does not take.
 *
 * Whoever brings a delivery back says how far it had read `deliveries` when this one was the first of its key
 * (`asOf`): what went away by an event before that, and comes earlier, is settled by now. So nothing stays away for
 * ever that somebody cancelled elsewhere.
 */
export interface OrderedJob {
  readonly endpoint: string;
  readonly orderingKey: string;
  /** Its message's place among the account's. */
  readonly position: number;
  /** Undefined: it comes from its publication. */
  readonly asOf: number | undefined;
}

/** What becomes of a delivery that entered. */
export type Turn = 'go' | 'wait' | 'away';

/** What follows from the end of one. */
export interface Following<J> {
  go: J | undefined;
  away: J[];
}

interface Away {
  position: number;
  /** The offset in `deliveries` of the event that sent it away; infinite until that is known. */
  since: number;
}

interface Key<J> {
  running: J | undefined;
  /** By position. */
  waiting: J[];
  /** By position. */
  away: Away[];
}

/**
 * Of one key, and of all: what waits here holds a place in its partition's window, which others need too. Beyond it they
 * come back by the scheduler, which is slower and costs nothing here.
 */
const MOST_WAITING = 100;
const MOST_WAITING_IN_ALL = 400;

export class KeyOrder<J extends OrderedJob> {
  private readonly keys = new Map<string, Key<J>>();
  private waiting = 0;

  enter(job: J): Turn {
    const key = this.keyOf(job);
    forgetSettled(key, job);
    if (firstOf(key.away) < job.position) {
      noteAway(key, job.position, Infinity);
      return 'away';
    }
    if (key.running === undefined && firstOf(key.waiting) > job.position) {
      key.running = job;
      return 'go';
    }
    if (key.waiting.length >= MOST_WAITING || this.waiting >= MOST_WAITING_IN_ALL) {
      noteAway(key, job.position, Infinity);
      return 'away';
    }
    insert(key.waiting, job);
    this.waiting++;
    return 'wait';
  }

  /** It was known to be owed before this process knew of the key. */
  isAway(job: Pick<OrderedJob, 'endpoint' | 'orderingKey' | 'position'>, since: number): void {
    noteAway(this.keyOf(job), job.position, since);
  }

  /**
   * An event about it is in the log, at this offset of `deliveries`; `isOwed` when that leaves the delivery owed.
   * Answers whose turn it is, and what has to go away.
   */
  ended(job: J, isOwed: boolean, offset: number): Following<J> {
    const key = this.keyOf(job);
    if (isOwed) noteAway(key, job.position, offset);
    if (key.running === job) key.running = undefined;
    const following: Following<J> = { go: undefined, away: [] };
    if (key.running === undefined) {
      const first = firstOf(key.away);
      // One of the same position is a repeat of what just went away.
      following.away = key.waiting.filter(({ position }) => position >= first);
      key.waiting = key.waiting.filter(({ position }) => position < first);
      for (const { position } of following.away) noteAway(key, position, Infinity);
      following.go = key.waiting.shift();
      key.running = following.go;
      this.waiting -= following.away.length + (following.go ? 1 : 0);
    }
    if (key.running === undefined && key.away.length === 0) this.keys.delete(nameOf(job));
    return following;
  }

  get size(): number {
    return this.keys.size;
  }

  private keyOf(job: Pick<OrderedJob, 'endpoint' | 'orderingKey'>): Key<J> {
    const name = nameOf(job);
    let key = this.keys.get(name);
    if (!key) {
      key = { running: undefined, waiting: [], away: [] };
      this.keys.set(name, key);
    }
    return key;
  }
}

function nameOf({ endpoint, orderingKey }: Pick<OrderedJob, 'endpoint' | 'orderingKey'>): string {
  return `${endpoint} ${orderingKey}`;
}

/** It is here now; and what comes before it and went away before `asOf` is settled. */
function forgetSettled<J extends OrderedJob>(key: Key<J>, { position, asOf = -1 }: J): void {
  // What comes from its publication is the last of its key, but for a record that is read again.
  if (asOf < 0 && firstOf(key.away) !== position) return;
  key.away = key.away.filter(
    (away) => away.position !== position && !(away.position < position && away.since < asOf),
  );
}

function noteAway(key: Key<OrderedJob>, position: number, since: number): void {
  const known = key.away.findLast((away) => away.position === position);
  if (known) known.since = since;
  else insert(key.away, { position, since });
}

function firstOf(sorted: { position: number }[]): number {
  return sorted[0]?.position ?? Infinity;
}

/** Positions mostly come in order, so the search from the end is short. */
function insert<T extends { position: number }>(sorted: T[], item: T): void {
  let at = sorted.length;
  while (at > 0 && (sorted[at - 1] as T).position > item.position) at--;
  sorted.splice(at, 0, item);
}
