import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  headFile,
  leafHash,
  type AuditRow,
  type HeadFile,
  SavedHead,
  SigningKey,
  TreeCheck,
  type TreeFlaw,
  verifyConsistency,
  verifyInclusion,
} from '@posthaste/audit-tree';
import { type AuditEntry, newId, topics } from '@posthaste/contracts';
import { type EventLog, MemoryEventLog } from '@posthaste/event-log';
import { startTemporaryPostgres, type TemporaryPostgres } from '@posthaste/local-stack';
import { createLogger, createPool, Health, migrate } from '@posthaste/runtime';
import { waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { verifierInJava } from '../proving/verify-in-java.js';
import { AuditTree1795000000000, startAuditTree } from './index.js';
import { AuditTreeController } from './audit-tree.grpc.js';

// A tree as it is stored, and what somebody can do to it who may write to the database but lacks the key: each is found,
// by us and by a verifier written in Java from the RFC.

const { logger } = createLogger('audit-tree-spec', 'silent');
const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-audit-tree-'));
const keys = [new SigningKey(Buffer.alloc(32, 7))];
let postgres: TemporaryPostgres;
let pool: pg.Pool;
let trees: AuditTreeController;
let log: EventLog;
let tenant: string;
let inJava: ReturnType<typeof verifierInJava>;

beforeAll(async () => {
  inJava = verifierInJava(folder);
  postgres = await startTemporaryPostgres('audit-tree');
  pool = createPool({ url: postgres.url, name: 'spec', max: 4, logger });
  trees = new AuditTreeController(pool, keys);
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.remove();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await pool.query('drop schema if exists audit cascade');
  await migrate(postgres.url, 'audit', [AuditTree1795000000000]);
  log = new MemoryEventLog();
  await log.admin.ensureTopics([topics.audit], 'single');
  tenant = newId('tenant');
});

function entryOf(of: string, n: number): AuditEntry {
  return {
    ...{ type: 'ConfigurationChanged', v: 1, id: newId('audit'), tenant: of, actor: newId('key') },
    ...{ from: '192.0.2.1', requestId: `req-${n}`, at: 1_790_000_000_000 + n, action: 'endpoint.updated' },
    ...{ entity: { kind: 'endpoint', id: newId('endpoint'), version: n }, changed: ['url', 'wörter € 😀'] },
  };
}
const entries = (count: number, of = tenant): AuditEntry[] =>
  Array.from({ length: count }, (_, n) => entryOf(of, n + 1));

/** Runs the projection until it has all of the log. */
async function project(signing = keys): Promise<void> {
  const health = new Health();
  const fatal = (error: unknown): never => {
    throw error;
  };
  const running = await startAuditTree({
    onAside: () => undefined,
    databaseUrl: postgres.url,
    log,
    logger,
    health,
    keys: signing,
    fatal,
  });
  const [end] = await log.admin.endOffsets(topics.audit);
  await waitFor(
    async () => {
      const { rows } = await pool.query<{ next: number }>('select next from audit.position');
      return rows[0]?.next === end?.offset;
    },
    { what: 'all of the log in the tree' },
  );
  await running.stop();
}

async function append(items: AuditEntry[]): Promise<void> {
  await log.producer.append(items.map((item) => ({ topic: topics.audit, ...topics.audit.encode(item) })));
}

async function grown(count: number): Promise<AuditEntry[]> {
  const items = entries(count);
  await append(items);
  await project();
  return items;
}

interface Exported {
  signed: { checkpoint: string; public_keys: string[] };
  rows: AuditRow[];
}

/** What a client gets by gRPC, as management-api hands it on. */
async function exported(): Promise<Exported> {
  const { checkpoint = '', public_keys } = await trees.getCheckpoint({ tenant });
  const { data } = await trees.listEntries({ tenant, limit: 1_000 });
  const rows = data.map(({ sequence = 0, canonical = Buffer.of(), leaf_hash, signature }) => ({
    sequence,
    canonical: canonical.toString(),
    leaf_hash: leaf_hash.toString('hex'),
    signature: signature.toString('base64'),
  }));
  return { signed: { checkpoint, public_keys }, rows };
}

function checked(
  { signed, rows }: Exported,
  saved: HeadFile | null,
): { flaw: TreeFlaw | null; head: HeadFile } {
  const check = new TreeCheck(signed, saved && new SavedHead(saved));
  for (const row of rows) check.add(row);
  return { flaw: check.finish(), head: headFile(check.headToSave()) };
}

/**
 * That the other verifier says the same: the first bad sequence, null for a sound tree, `-` for the checkpoint. Nothing
 * where it cannot run.
 */
function expectOfJava(
  { signed, rows }: Exported,
  saved: HeadFile | null,
  expected: number | '-' | null,
): void {
  if (inJava === undefined) return;
  const [file, head] = [path.join(folder, 'export.jsonl'), path.join(folder, 'head.json')];
  writeFileSync(file, [signed, ...rows].map((line) => `${JSON.stringify(line)}\n`).join(''));
  writeFileSync(head, JSON.stringify(saved));
  const [verdict, sequence] = inJava([file, ...(saved ? [head] : [])]).split(' ');
  expect([verdict, sequence]).toEqual(
    expected === null ? ['sound', String(rows.length)] : ['broken', String(expected)],
  );
}

/** As somebody with the database's password can: triggers and all out of the way. */
async function tamper(statements: string): Promise<void> {
  await pool.query(`begin; set local session_replication_role = replica; ${statements}; commit`);
}

const SIZE = 21;

describe('the audit tree of a tenant', () => {
  it('has each entry once, in order, whatever the log has twice, and holds up to both verifiers', async () => {
    const items = entries(SIZE);
    const others = entries(5, newId('tenant'));
    await append([...items.slice(0, 9), ...others, ...items.slice(4, 9)]);
    await append([...items.slice(7), ...others]);
    await project();
    const all = await exported();
    const read = all.rows.map(({ canonical }) => JSON.parse(canonical) as AuditEntry);
    expect(read).toEqual(items);
    expect(checked(all, null).flaw).toBeNull();
    expectOfJava(all, null, null);
  }, 60_000);

  it('is the same again, signatures and all, when it is built again from the log', async () => {
    await grown(SIZE);
    const before = await exported();
    await pool.query('drop schema audit cascade');
    await migrate(postgres.url, 'audit', [AuditTree1795000000000]);
    await project();
    expect(await exported()).toEqual(before);
  }, 60_000);

  it('grows on, and a head saved before is its beginning', async () => {
    await grown(9);
    const saved = checked(await exported(), null).head;
    await append(entries(SIZE - 9));
    await project();
    const all = await exported();
    expect(checked(all, saved).flaw).toBeNull();
    expectOfJava(all, saved, null);
  }, 60_000);

  it('goes on under a new key, which those who know the old one can follow', async () => {
    await grown(9);
    const saved = checked(await exported(), null).head;
    const rotated = [new SigningKey(Buffer.alloc(32, 8)), ...keys];
    await append(entries(3));
    await project(rotated);
    const { rows } = await exported();
    const { checkpoint = '', public_keys } = await new AuditTreeController(pool, rotated).getCheckpoint({
      tenant,
    });
    const all = { signed: { checkpoint, public_keys }, rows };
    expect(checked(all, saved).flaw).toBeNull();
    expectOfJava(all, saved, null);
    const onlyNew = rotated.slice(0, 1);
    await append(entries(1));
    // It cannot tell that the head is ours: it is not signed by a key it has.
    await project(onlyNew);
    expect((await trees.getCheckpoint({ tenant })).size).toBe(13);
  }, 60_000);

  it('is proven entry by entry and size by size, from what is stored', async () => {
    await grown(SIZE);
    const { rows } = await exported();
    for (let size = 1; size <= SIZE; size++) {
      for (const sequence of [0, size >> 1, size - 1]) {
        const { proof } = await trees.proveInclusion({ tenant, sequence, size });
        const { root = Buffer.of(), path: steps = [] } = proof ?? {};
        const leaf = leafHash(Buffer.from(rows[sequence]?.canonical ?? ''));
        expect(verifyInclusion({ leaf, index: sequence, size, path: steps }, root)).toBe(true);
      }
      const { proof } = await trees.proveConsistency({ tenant, from: size });
      if (!proof) throw new Error(`no proof from ${size}`);
      const { from_root, to_root, path: steps } = proof;
      expect(verifyConsistency({ from: size, to: SIZE, path: steps }, from_root, to_root)).toBe(true);
    }
    const { checkpoint = '' } = await trees.getCheckpoint({ tenant });
    const { proof } = await trees.proveInclusion({ tenant, sequence: 3 });
    expect(checkpoint).toContain(`\n${SIZE}\n${proof?.root.toString('base64')}\n`);
    expect(await trees.proveInclusion({ tenant, sequence: SIZE })).toEqual({ tree_size: SIZE });
    expect(await trees.proveInclusion({ tenant, sequence: 0, size: SIZE + 1 })).toEqual({ tree_size: SIZE });
    expect(await trees.proveConsistency({ tenant, from: 3, to: 2 })).toEqual({ tree_size: SIZE });
  }, 60_000);

  it('puts aside what it cannot read, and goes on', async () => {
    const items = entries(2);
    const odd = { ...entries(1)[0], tenant, action: '\ud800' } as AuditEntry;
    const nul = { ...entries(1)[0], tenant, id: 'aud_\0' } as AuditEntry;
    const record = { topic: topics.audit, key: tenant };
    await append(items.slice(0, 1));
    await log.producer.append([{ ...record, value: Buffer.from('{') }]);
    await append([odd, nul, ...items.slice(1)]);
    await project();
    expect((await exported()).rows).toHaveLength(2);
    const { rows } = await pool.query('select record_offset from audit.quarantine order by 1');
    expect(rows).toEqual([1, 2, 3].map((record_offset) => ({ record_offset })));
  }, 60_000);

  it('cannot be edited, not even by mistake', async () => {
    await grown(3);
    for (const statement of [
      "update audit.entry set canonical = ''",
      'delete from audit.entry where seq = 2',
      'truncate audit.entry',
      'delete from audit.node',
      'truncate audit.head',
    ]) {
      await expect(pool.query(statement)).rejects.toThrow('append-only');
    }
  }, 60_000);
});

describe('somebody who can write to the database is found out, with the first bad sequence:', () => {
  const flip = (where: string): string =>
    `update audit.entry set canonical = set_byte(canonical, 40, get_byte(canonical, 40) # 1) where ${where}`;
  /** With all the hashes that go with it, up to the head: only the signatures are beyond reach. */
  const rehash = `update audit.entry set leaf_hash = sha256('\\x00'::bytea || canonical)`;
  const swap = `create temp table swapped on commit drop as select * from audit.entry where seq in (5, 6);
    update audit.entry e set canonical = s.canonical, leaf_hash = s.leaf_hash from swapped s where e.seq = 11 - s.seq`;

  it.each([
    { what: 'one bit', statements: flip('seq = 13'), first: 13 },
    { what: 'one bit of the first', statements: flip('seq = 0'), first: 0 },
    { what: 'one bit that makes it no text', statements: flip('seq = 2').replace('# 1', '# 128'), first: 2 },
    { what: 'one bit, and its hash with it', statements: `${flip('seq = 13')}; ${rehash}`, first: 13 },
    {
      what: 'a bit of a hash',
      statements: 'update audit.entry set leaf_hash = sha256(leaf_hash) where seq = 4',
      first: 4,
    },
    {
      what: 'the last row deleted',
      statements: `delete from audit.entry where seq = ${SIZE - 1}`,
      first: SIZE - 1,
    },
    { what: 'one in the middle deleted', statements: 'delete from audit.entry where seq = 8', first: 8 },
    {
      what: 'one in the middle deleted, and the gap closed',
      statements:
        'delete from audit.entry where seq = 8; update audit.entry set seq = -seq where seq > 8; update audit.entry set seq = -seq - 1 where seq < 0',
      first: 8,
    },
    { what: 'a swapped pair', statements: swap, first: 5 },
    { what: 'all but the head gone', statements: 'delete from audit.entry', first: 0 },
  ])(
    '$what',
    async ({ statements, first }) => {
      await grown(SIZE);
      await tamper(statements);
      const all = await exported();
      expect(checked(all, null).flaw).toMatchObject({ sequence: first });
      expectOfJava(all, null, first);
    },
    60_000,
  );

  /** The head row, to put it back. */
  async function headNow(): Promise<string> {
    const { rows } = await pool.query<{ statement: string }>(
      `select format('update audit.head set size = %s, frontier = %L, checkpoint = %L where tenant = %L',
                     size, frontier, checkpoint, tenant) as statement from audit.head where tenant = $1`,
      [tenant],
    );
    return rows[0]?.statement ?? '';
  }

  it('an old head restored', async () => {
    await grown(9);
    const old = await headNow();
    await append(entries(SIZE - 9));
    await project();
    const saved = checked(await exported(), null).head;
    await tamper(old);
    const all = await exported();
    // To whoever has saved nothing it is a sound tree, only a shorter one.
    expect(checked(all, null).flaw).toBeNull();
    expect(checked(all, saved).flaw).toMatchObject({ sequence: 9, code: 'missing' });
    expectOfJava(all, saved, 9);
  }, 60_000);

  it('a tail cut off and grown again, which the service then signs as ever', async () => {
    await grown(9);
    const old = await headNow();
    await append(entries(SIZE - 9));
    await project();
    const saved = checked(await exported(), null).head;
    await tamper(
      `${old}; delete from audit.entry where seq >= 9; delete from audit.node where (idx + 1) << level > 9`,
    );
    await append(entries(SIZE - 5));
    await project();
    const all = await exported();
    expect(all.rows.length).toBeGreaterThan(SIZE);
    expect(checked(all, null).flaw).toBeNull();
    expect(checked(all, saved).flaw).toMatchObject({ sequence: 9, code: 'rewritten' });
    expectOfJava(all, saved, 9);
    // Without the marks it is still known that it was at or before the end of what was saved.
    expect(checked(all, { ...saved, marks: '' }).flaw).toMatchObject({
      sequence: SIZE - 1,
      code: 'rewritten',
    });
  }, 60_000);

  it('a head of their own making, which is not grown on', async () => {
    await grown(SIZE);
    await tamper(`update audit.head set frontier = set_byte(frontier, 0, get_byte(frontier, 0) # 1)`);
    await append(entries(2));
    await project();
    expect((await exported()).rows).toHaveLength(SIZE);
    const { rows } = await pool.query<{ reason: string }>('select reason from audit.quarantine');
    expect(rows.map(({ reason }) => reason)).toEqual(
      Array(2).fill(`the tree of ${tenant} is not the one that was signed`),
    );
  }, 60_000);

  it('a checkpoint of their own making', async () => {
    await grown(SIZE);
    const thief = new SigningKey(Buffer.alloc(32, 9));
    const saved = checked(await exported(), null).head;
    await pool.query('drop schema audit cascade');
    await migrate(postgres.url, 'audit', [AuditTree1795000000000]);
    await project([thief]);
    const { rows } = await exported();
    const { checkpoint = '', public_keys } = await new AuditTreeController(pool, [thief]).getCheckpoint({
      tenant,
    });
    const all = { signed: { checkpoint, public_keys }, rows };
    expect(checked(all, saved).flaw).toMatchObject({ sequence: null, code: 'unknown_key' });
    expectOfJava(all, saved, '-');
  }, 60_000);
});
