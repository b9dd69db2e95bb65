import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** A tenth of the others' claim to a processor that several want; all of one that nobody else does. */
const NICE = 10;

/**
 * Has a process go after the others while the machine is busy. A wish and not a promise: where the system does not know
 * of it, the process runs like any other.
 */
export function yieldToOthers(pid: number): void {
  // A process of ours has a session of its own, and Linux may weigh sessions against each other before processes.
  for (const wish of [
    () => setPriority(pid, NICE),
    () => writeFileSync(`/proc/${pid}/autogroup`, String(NICE)),
  ]) {
    try {
      wish();
    } catch {
      // It has ended already, or this is no Linux.
    }
  }
}
