/**
 * Which attempts were made in the last minutes, to drop repeats that the log hands out again.
 *
 * Two generations of an open-addressed table of 128-bit keys: the current one is filled, both are asked, and when the
 * current one is old or full it becomes the previous one. So an attempt is remembered for one to two generations, at
 * most `2 x maxPerGeneration` of them in 16 to 32 bytes each, where a Map of strings would take 150. The key is taken
 * from the delivery's id, of which 119 bits are random: two different attempts are not confused in practice, and must
 * not be, since the second would never be made.
 */
const MIN_SLOTS = 1_024;
const WORDS = 4;
const GENERATION_MS = 10 * 60_000;
const MAX_PER_GENERATION = 500_000;

interface Generation {
  table: Uint32Array;
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
    private readonly maxPerGeneration = MAX_PER_GENERATION,
  ) {
    this.current = emptyGeneration(now);
    this.previous = emptyGeneration(now);
  }

  has(delivery: string, attempt: number): boolean {
    this.readKey(delivery, attempt);
    return this.isHeld(this.current.table) || this.isHeld(this.previous.table);
  }

  add(delivery: string, attempt: number, now: number): void {
    if (now - this.current.since >= this.generationMs || this.current.size >= this.maxPerGeneration) {
      this.previous = this.current;
      this.current = emptyGeneration(now);
    }
    this.readKey(delivery, attempt);
    const slot = findSlot(this.current.table, this.key);
    if (this.current.table[slot] !== 0) return;
    this.current.table.set(this.key, slot);
    this.current.size++;
    if (this.current.size * WORDS * 2 > this.current.table.length) grow(this.current);
  }

  private isHeld(table: Uint32Array): boolean {
    return table[findSlot(table, this.key)] !== 0;
  }

  /** The last 20 characters of the id, five to a word (62^5 < 2^32), and the attempt mixed into the last. */
  private readKey(delivery: string, attempt: number): void {
    const start = delivery.length - 20;
    for (let word = 0; word < WORDS; word++) {
      let value = 0;
      for (let i = 0; i < 5; i++) value = value * 62 + digit(delivery.charCodeAt(start + word * 5 + i));
      this.key[word] = value;
    }
    this.key[3] = (this.key[3] as number) ^ Math.imul(attempt, 0x9e3779b1);
    // A first word of 0 marks an empty slot.
    if (this.key[0] === 0) this.key[0] = 1;
  }
}

function emptyGeneration(now: number): Generation {
  return { table: new Uint32Array(MIN_SLOTS * WORDS), size: 0, since: now };
}

/** The index of the key's words, or of the empty slot where they belong. */
function findSlot(table: Uint32Array, key: Uint32Array): number {
  const mask = table.length / WORDS - 1;
  let slot = ((key[1] as number) ^ (key[2] as number)) & mask;
  for (;;) {
    const at = slot * WORDS;
    if (table[at] === 0) return at;
    if (
      table[at] === key[0] &&
      table[at + 1] === key[1] &&
      table[at + 2] === key[2] &&
      table[at + 3] === key[3]
    ) {
      return at;
    }
    slot = (slot + 1) & mask;
  }
}

function grow(generation: Generation): void {
  const old = generation.table;
  generation.table = new Uint32Array(old.length * 2);
  for (let at = 0; at < old.length; at += WORDS) {
    if (old[at] === 0) continue;
    const key = old.subarray(at, at + WORDS);
    generation.table.set(key, findSlot(generation.table, key));
  }
}

function digit(code: number): number {
  if (code < 58) return code - 48;
  return code < 91 ? code - 55 : code - 61;
}
