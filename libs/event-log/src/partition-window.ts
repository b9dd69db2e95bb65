/**
 * The records of one partition that were taken and are not done, in any order of being done. It answers what to
 * commit: `lowWatermark`, below which everything is done, and `metadata`, which says what is done above it; after a
 * restart `resume` reads both, so that work done out of order is not done again.
 *
 * Offsets are added in rising order, gaps allowed: an offset never added counts as done, there is nothing to do for
 * it. A ring of one size and bytes per offset makes each call cheap; the ring grows when the window is fuller than
 * ever.
 *
 * The metadata lists what is open, not what is done: few records are open at a time, and one receiver that hangs may
 * have any number of finished ones above its own. Behind a mark it is a list of numbers in base64, each in groups of 7
 * bits: how far above the watermark it reaches, then the steps from one open offset to the next. What does not fit the
 * log's 4,096 characters is cut off by reaching less far, and done again after a restart: at least once, never lost.
 */
const MIN_SLOTS = 256;
const MARK = 'open:';
const METADATA_BYTES = 3_000;
/** Beyond any window; what claims to reach further is not ours. */
const MAX_REACH = 10_000_000;
/** Slot values: bytes + 1 while a record is held, so that 0 means nothing to do. */
const DONE = 0;

export class PartitionWindow {
  #low: number;
  /** The first offset not seen yet: add() goes on from here. */
  #next: number;
  #slots = new Float64Array(MIN_SLOTS);
  #records = 0;
  #bytes = 0;
  /** Done before a restart, above the watermark of then; empty once the window is past it. */
  #doneBefore: Set<number>;

  /** `next` is the first offset not done. */
  constructor(next: number, doneBefore: Iterable<number> = []) {
    this.#low = next;
    this.#next = next;
    this.#doneBefore = new Set(doneBefore);
  }

  /** Goes on where a commit left off. Without readable metadata, finished work is repeated. */
  static resume(committed: number | null, metadata: string): PartitionWindow {
    const low = committed ?? 0;
    const [reach = 0, ...steps] = metadata.startsWith(MARK) ? readNumbers(metadata.slice(MARK.length)) : [];
    const done: number[] = [];
    if (reach > MAX_REACH) return new PartitionWindow(low);
    let offset = low;
    for (const step of [...steps, Infinity]) {
      const open = Math.min(offset + step, low + reach);
      while (offset < open) done.push(offset++);
      offset++;
    }
    return new PartitionWindow(low, done);
  }

  /** Nothing is to be done for this offset: it is done, here or before a restart, or it is held already. */
  has(offset: number): boolean {
    return offset < this.#next || this.#doneBefore.has(offset);
  }

  /** Takes a record; false when `has` it already, and the record is to be skipped. */
  add(offset: number, bytes: number): boolean {
    if (offset < this.#next) return false;
    this.#reserve(offset);
    const isNew = !this.#doneBefore.delete(offset);
    this.#next = offset + 1;
    if (isNew) {
      this.#slots[offset % this.#slots.length] = bytes + 1;
      this.#records++;
      this.#bytes += bytes;
    }
    this.#advance();
    return isNew;
  }

  /** The record needs no more work. Repeats, and offsets never added, change nothing. */
  done(offset: number): void {
    if (offset < this.#low || offset >= this.#next) return;
    const slot = offset % this.#slots.length;
    const held = this.#slots[slot] as number;
    if (held === DONE) return;
    this.#slots[slot] = DONE;
    this.#records--;
    this.#bytes -= held - 1;
    this.#advance();
  }

  /** What to commit: everything below it is done. */
  get lowWatermark(): number {
    return this.#low;
  }

  /** Records taken and not done. */
  get records(): number {
    return this.#records;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What is open above the watermark, for a commit at `lowWatermark`; empty when nothing above it is done. */
  metadata(): string {
    let end = this.#next;
    for (const known of this.#doneBefore) end = Math.max(end, known + 1);
    const steps: number[] = [];
    let reach = 0;
    let stepsWithin = 0;
    let bytes = 0;
    let from = this.#low;
    for (const open of this.#openOffsets(end)) {
      if (open > from) [reach, stepsWithin] = [open - this.#low, steps.length];
      bytes += numberBytes(open - from).length;
      if (bytes > METADATA_BYTES) break;
      steps.push(open - from);
      from = open + 1;
    }
    if (end > from && bytes <= METADATA_BYTES) [reach, stepsWithin] = [end - this.#low, steps.length];
    if (reach === 0) return '';
    const numbers = [reach, ...steps.slice(0, stepsWithin)];
    return MARK + Buffer.from(numbers.flatMap(numberBytes)).toString('base64');
  }

  /** From the watermark to `end`: what is held, and what was neither met nor done before a restart. */
  *#openOffsets(end: number): Generator<number> {
    for (let offset = this.#low; offset < this.#next; offset++) {
      if (this.#slots[offset % this.#slots.length] !== DONE) yield offset;
    }
    for (let offset = this.#next; offset < end; offset++) if (!this.#doneBefore.has(offset)) yield offset;
  }

  #advance(): void {
    while (this.#low < this.#next && this.#slots[this.#low % this.#slots.length] === DONE) this.#low++;
    if (this.#low === this.#next) this.#passKnown();
  }

  /** With nothing held, what was done before a restart lets the watermark go on without meeting the records again. */
  #passKnown(): void {
    if (this.#doneBefore.size === 0) return;
    while (this.#doneBefore.delete(this.#next)) this.#next++;
    this.#low = this.#next;
  }

  /** Makes room for the offsets from the watermark to this one; new slots are empty, so gaps count as done. */
  #reserve(offset: number): void {
    if (this.#records === 0) {
      // Nothing is held: a jump over any distance needs no room.
      for (const known of this.#doneBefore) if (known < offset) this.#doneBefore.delete(known);
      this.#low = offset;
      return;
    }
    const needed = offset - this.#low + 1;
    if (needed <= this.#slots.length) return;
    const old = this.#slots;
    let size = old.length;
    while (size < needed) size *= 2;
    this.#slots = new Float64Array(size);
    for (let held = this.#low; held < this.#next; held++) {
      this.#slots[held % size] = old[held % old.length] as number;
    }
  }
}

/** Lowest 7 bits first; the eighth says that more follow. */
function numberBytes(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  bytes.push(value);
  return bytes;
}

function readNumbers(base64: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of Buffer.from(base64, 'base64')) {
    value += (byte % 128) * scale;
    scale *= 128;
    if (byte > 127) continue;
    numbers.push(value);
    value = 0;
    scale = 1;
  }
  return numbers;
}
