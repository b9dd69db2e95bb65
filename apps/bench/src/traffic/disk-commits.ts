import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { PacedLoop } from './paced-loop.js';
import type { Pace } from './protocol.js';
import { nowMs } from './stamped-payload.js';

/** A page of PostgreSQL's log, and a file as long as one of its segments, which is there before it is written. */
const PAGE_BYTES = 8_192;
const FILE_BYTES = 16 * 1024 * 1024;

export interface DiskCommits {
  /** From the moment each was asked for, or should have been, until it was on disk. */
  tookMs: Float64Array;
  seconds: number;
}

/**
 * What committing costs with no database: a page is written and synced where the data of a stack lies, one at a time,
 * and what is asked for meanwhile goes with the next. A disk that stands still holds up all that is accepted as long.
 */
export async function commitToDisk(count: number, pace: Pace): Promise<DiskCommits> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'posthaste-commits-'));
  const file = await open(path.join(folder, 'segment'), 'w');
  try {
    await file.write(Buffer.alloc(FILE_BYTES));
    await file.sync();
    const beganAtMs = nowMs();
    const tookMs = await commitAll(file, count, pace);
    return { tookMs, seconds: (nowMs() - beganAtMs) / 1_000 };
  } finally {
    await file.close();
    await rm(folder, { recursive: true });
  }
}

async function commitAll(file: FileHandle, count: number, pace: Pace): Promise<Float64Array> {
  const tookMs = new Float64Array(count);
  const page = randomBytes(PAGE_BYTES);
  let asked: { seq: number; sentAtMs: number }[] = [];
  let isWriting = false;
  let place = 0;
  const write = async (): Promise<void> => {
    isWriting = true;
    while (asked.length > 0) {
      const batch = asked;
      asked = [];
      await file.write(page, 0, PAGE_BYTES, place);
      place = (place + PAGE_BYTES) % FILE_BYTES;
      await file.datasync();
      for (const { seq, sentAtMs } of batch) {
        tookMs[seq] = nowMs() - sentAtMs;
        loop.answered();
      }
    }
    isWriting = false;
  };
  const failed = Promise.withResolvers<never>();
  const loop = new PacedLoop(count, pace, (seq, sentAtMs) => {
    asked.push({ seq, sentAtMs });
    if (!isWriting) write().catch(failed.reject);
  });
  await Promise.race([loop.run(), failed.promise]);
  return tookMs;
}
