import { digitOf } from '@posthaste/contracts';

/**
 * Which attempts were made in the last minutes, to drop repeats that the log hands out again.
 *
 * Two generations of an open-addressed table: the current one is filled, both are asked, and when the current one is
 * old or full it becomes the previous one. So an attempt is remembered for one to two generations, at most
 * `2 x perGeneration` of them, in 16 bytes each where a Map of strings would take 150. Both tables are there from the
 * beginning and stay: nothing is left behind as garbage, and the system gives memory to what is written only. The key
 * is taken from what is random in the delivery's id, 89 bits of it: two different attempts are not confused in
 * practice, and must not be, since the second would never be made.
 */
const WORDS = 3;
const GENERATION_MS = 10 * 60_000;
const PER_GENERATION = 400_000;
/** So full, a table takes 13 steps on average to say that it does not hold a key; they lie next to each other. */
const FULLEST = 0.8;

interface Generation {
  readonly table: Uint32Array;
  size: number;
  since: number;
}

export class RecentAttempts {
  private current: Generation;
  private previous: Generation;
  private readonly key = new Uint32Array(WORDS);

  constructor(
    now: number,
    private readonly generationMs = GENERATION_MS,
    private readonly perGeneration = PER_GENERATION,
  ) {
    this.current = generationOf(perGeneration, now);
    this.previous = generationOf(perGeneration, now);
  }

  has(delivery: string, attempt: number): boolean {
    this.readKey(delivery, attempt);
    return this.isHeld(this.current.table) || this.isHeld(this.previous.table);
  }

  add(delivery: string, attempt: number, now: number): void {
    if (now - this.current.since >= this.generationMs || this.current.size >= this.perGeneration) {
      this.beginGeneration(now);
    }
    this.readKey(delivery, attempt);
    const { table } = this.current;
    const at = findSlot(table, this.key);
    if (table[at] !== 0) return;
    table.set(this.key, at);
    this.current.size++;
  }

  private beginGeneration(now: number): void {
    const { table } = this.previous;
    this.previous = this.current;
    this.current = { table: table.fill(0), size: 0, since: now };
  }

  private isHeld(table: Uint32Array): boolean {
    return table[findSlot(table, this.key)] !== 0;
  }

  /** The last 15 characters of the id, five to a word (62^5 < 2^32), and the attempt mixed into the last. */
  private readKey(delivery: string, attempt: number): void {
    const start = delivery.length - 5 * WORDS;
    for (let word = 0; word < WORDS; word++) {
      let value = 0;
      for (let i = 0; i < 5; i++) value = value * 62 + digitOf(delivery.charCodeAt(start + word * 5 + i));
      this.key[word] = value;
    }
    this.key[2] = (this.key[2] as number) ^ Math.imul(attempt, 0x9e3779b1);
    // A first word of 0 marks an empty slot.
    if (this.key[0] === 0) this.key[0] = 1;
  }
}

function generationOf(capacity: number, now: number): Generation {
  const slots = 2 ** Math.ceil(Math.log2(capacity / FULLEST));
  return { table: new Uint32Array(slots * WORDS), size: 0, since: now };
}

/** The index of the key's words, or of the empty slot where they belong. */
function findSlot(table: Uint32Array, key: Uint32Array): number {
  const mask = table.length / WORDS - 1;
  let slot = ((key[0] as number) ^ (key[1] as number)) & mask;
  for (;;) {
    const at = slot * WORDS;
    if (table[at] === 0) return at;
    if (table[at] === key[0] && table[at + 1] === key[1] && table[at + 2] === key[2]) return at;
    slot = (slot + 1) & mask;
  }
}
