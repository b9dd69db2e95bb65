import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { kafkaBytes } from './written-bytes.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-bench-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('what Kafka wrote', () => {
  it('are the segments of its partitions, not their indexes', () => {
    for (const partition of ['messages-0', 'messages-1']) {
      mkdirSync(path.join(folder, partition));
      writeFileSync(path.join(folder, partition, '00000000000000000000.log'), 'x'.repeat(700));
      writeFileSync(path.join(folder, partition, '00000000000000000000.index'), 'x'.repeat(10_000));
    }
    expect(kafkaBytes(folder)).toBe(1_400);
  });
});
