import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect } from '@jest/globals';
import type { AuditEntryList } from '@posthaste/contracts';
import type { Stack } from '@posthaste/local-stack';
import { type Receiver, RestClient, type TenantClient, waitFor } from '@posthaste/test-kit';
import type pg from 'pg';
import { distDir, itOn, logsToTest, withParties } from './test-stack.js';

interface Verdict {
  sound: boolean;
  first_bad_sequence: number | null;
  problem: { code: string } | null;
  tree: { size: number; root: string };
  verified: number;
}

/** Who did what, proven from a terminal; and what becomes of it when somebody edits the database. */
describe.each(logsToTest())('the audit log, log: $log', ({ start }) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'posthaste-audit-'));
  const at = (name: string): string => path.join(folder, name);
  let stack: Stack;
  let receiver: Receiver;
  let database: pg.Client;
  let tenant: TenantClient;
  const it = itOn(() => stack);

  withParties(start, (parties) => ({ stack, receiver, database, tenant } = parties));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function posthaste(line: string): { code: number | null; out: string; err: string } {
    const program = path.join(distDir, 'apps/ops-cli/main.js');
    const env = {
      POSTHASTE_URL: stack.url,
      POSTHASTE_KEY: tenant.key,
      XDG_CONFIG_HOME: folder,
      HOME: folder,
    };
    const ran = spawnSync(process.execPath, [program, ...line.split(' ')], {
      env,
      encoding: 'utf8',
      cwd: folder,
    });
    return { code: ran.status, out: ran.stdout, err: ran.stderr };
  }

  /** Checked with the exit code it must have. */
  function verdict(line: string, code: number): Verdict {
    const ran = posthaste(`audit verify ${line}`.trim());
    expect({ line, code: ran.code, err: ran.err }).toEqual({ line, code, err: '' });
    return JSON.parse(ran.out) as Verdict;
  }

  async function actions(): Promise<string[]> {
    const { data } = await tenant.rest.ask<AuditEntryList>('GET', '/v1/audit/entries?limit=1000');
    return data.map(({ entry }) => entry?.action ?? '');
  }

  const whenLogged = (wanted: string[]): Promise<boolean> =>
    waitFor(
      async () => {
        const found = await actions();
        const missing = wanted.filter((action) => !found.includes(action));
        if (missing.length === 0) return true;
        throw new Error(`missing: ${missing.join()}`);
      },
      { what: 'the entries', everyMs: 100 },
    );

  it('has every change and every command, by whom and from where, and no message', async () => {
    const { rest } = tenant;
    await tenant.putAccount('acme');
    const endpoint = await tenant.createEndpoint('acme', { url: receiver.url('/fine') });
    await tenant.publish('acme', 'order.placed', { n: 1 });
    const [delivery] = await waitFor(
      async () => {
        const found = await tenant.deliveries('acme', '?status=delivered');
        return found.length > 0 && found;
      },
      { what: 'a delivery', everyMs: 100 },
    );
    const path = `/v1/endpoints/${endpoint.id}`;
    await rest.ask('PATCH', path, { body: { description: 'changed' } });
    await rest.ask('GET', `${path}/secret`);
    await rest.ask('POST', `${path}/secret/rotate`, { body: {} });
    await rest.ask('POST', `${path}/test`, { body: {} });
    await rest.ask('POST', `/v1/deliveries/${delivery?.id}/resend`);
    const since = new Date(Date.now() - 3_600_000).toISOString();
    const { id: replay } = await rest.ask<{ id: string }>('POST', `${path}/recover`, { body: { since } });
    await rest.ask('POST', `/v1/replays/${replay}/cancel`);
    const operator = new RestClient(stack.url, stack.operatorKey);
    const keys = `/v1/tenants/${tenant.id}/keys`;
    const { id: key } = await operator.ask<{ id: string }>('POST', keys, { body: { scope: 'tenant' } });
    await operator.ask('DELETE', `${keys}/${key}`);
    await tenant.deleteEndpoint(endpoint.id);
    await whenLogged([
      ...['tenant.created', 'account.created', 'endpoint.created', 'endpoint.updated', 'endpoint.deleted'],
      ...['endpoint.secret_read', 'endpoint.secret_rotated', 'endpoint.tested', 'delivery.resent'],
      ...['replay.started', 'replay.cancelled', 'api_key.created', 'api_key.revoked'],
    ]);
    const { data } = await rest.ask<AuditEntryList>('GET', '/v1/audit/entries');
    expect(data.map(({ sequence }) => sequence)).toEqual(data.map((_, i) => i));
    expect(data.filter(({ entry }) => entry?.entity.kind === 'message')).toEqual([]);
    const updated = data.find(({ entry }) => entry?.action === 'endpoint.updated')?.entry;
    expect(updated).toMatchObject({
      ...{ actor: tenant.keyId, from: '127.0.0.1', changed: ['description'] },
      entity: { kind: 'endpoint', id: endpoint.id, version: 2 },
    });
    const listed = posthaste('audit list --limit 3 --table');
    expect(listed.out).toMatch(/^ *sequence +when +what +of +changed +who +from\n/);
    expect(listed.out.trim().split('\n')).toHaveLength(4);
  });

  it('is verified from a terminal, beside a head saved before, and offline', async () => {
    const first = verdict(`--save ${at('head.json')}`, 0);
    expect(first).toMatchObject({ sound: true, first_bad_sequence: null, problem: null });
    expect(first.verified).toBe(first.tree.size);
    await tenant.putAccount('later');
    await waitFor(async () => (await actions()).length > first.tree.size, { what: 'one more entry' });
    const later = verdict(`--head ${at('head.json')} --save ${at('later.json')}`, 0);
    expect(later.tree.size).toBe(first.tree.size + 1);
    const { out } = posthaste('audit export');
    writeFileSync(at('export.jsonl'), out);
    expect(verdict(`--file ${at('export.jsonl')} --head ${at('head.json')}`, 0).tree).toEqual(later.tree);
    const lines = out.split('\n');
    lines[3] = (lines[3] ?? '').replace('127.0.0.1', '127.0.0.2');
    writeFileSync(at('forged.jsonl'), lines.join('\n'));
    expect(verdict(`--file ${at('forged.jsonl')}`, 1).first_bad_sequence).toBe(2);
    writeFileSync(at('torn.jsonl'), out.slice(0, -200));
    expect(verdict(`--file ${at('torn.jsonl')}`, 1).first_bad_sequence).toBe(later.tree.size - 1);
    for (const line of [`--file ${at('none')}`, `--head ${at('none')}`, `--head ${at('export.jsonl')}`]) {
      expect(posthaste(`audit verify ${line}`)).toMatchObject({ code: 2, out: '' });
    }
  });

  it('is whole although audit-log is killed while entries come', async () => {
    let made = 0;
    const before = verdict('', 0).tree.size;
    for (let kill = 0; kill < 3; kill++) {
      const names = Array.from({ length: 6 }, () => `killed-${made++}`);
      const changes = names.map((name) => tenant.putAccount(name));
      await changes[0];
      await stack.process('audit-log').kill('SIGKILL');
      await Promise.all(changes);
      await stack.waitReady();
    }
    await waitFor(async () => (await actions()).length >= before + made, {
      what: 'all entries',
      everyMs: 100,
    });
    expect(verdict(`--head ${at('later.json')} --save ${at('later.json')}`, 0).tree.size).toBe(before + made);
  }, 180_000);

  it('tells which entry somebody edited in the database, and is whole again once it is built again from the log', async () => {
    await database.query(`set session_replication_role = replica`);
    await database.query(
      `update audit.entry set canonical = convert_to(replace(convert_from(canonical, 'UTF8'), '127.0.0.1', '10.0.0.1'), 'UTF8')
        where tenant = $1 and seq = 2`,
      [tenant.id],
    );
    await database.query(
      `update audit.entry set leaf_hash = sha256('\\x00'::bytea || canonical) where tenant = $1`,
      [tenant.id],
    );
    expect(verdict('', 1)).toMatchObject({
      sound: false,
      first_bad_sequence: 2,
      problem: { code: 'altered' },
    });
    expect(posthaste('audit verify --table').out).toMatch(/^first bad sequence +2$/m);
    await stack.process('audit-log').stop();
    await database.query('drop schema audit cascade');
    await stack.process('audit-log').start();
    await stack.waitReady();
    const again = verdict(`--head ${at('later.json')}`, 0);
    expect(again).toMatchObject({ sound: true, first_bad_sequence: null });
  });
});
