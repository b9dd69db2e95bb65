import {
  closeSync,
  copyFileSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
} from 'node:fs';
import path from 'node:path';

/**
 * One file per process, holding what it writes to standard output and error. The process writes to the file itself,
 * so its logs cost the supervisor nothing and survive it. The earlier run's file is kept as `<name>.log.1`.
 */
export class ProcessLog {
  readonly file: string;

  constructor(folder: string, name: string) {
    this.file = path.join(folder, `${name}.log`);
    mkdirSync(folder, { recursive: true });
    if (sizeOf(this.file) > 0) renameSync(this.file, `${this.file}.1`);
  }

  /** A descriptor to hand to the process; the caller closes its own copy. */
  open(): number {
    // Appending, so that the file can be cut while the process holds it.
    return openSync(this.file, 'a', 0o600);
  }

  /** Keeps the file below about `maxBytes`. Lines written between the copy and the cut are lost. */
  bound(maxBytes: number): void {
    if (sizeOf(this.file) <= maxBytes) return;
    copyFileSync(this.file, `${this.file}.1`);
    truncateSync(this.file);
  }

  lastLines(count: number): string[] {
    const tail = Buffer.alloc(16_384);
    const fd = openSync(this.file, 'a+');
    const start = Math.max(0, fstatSync(fd).size - tail.length);
    const read = readSync(fd, tail, 0, tail.length, start);
    closeSync(fd);
    return tail.toString('utf8', 0, read).trim().split('\n').slice(-count);
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
