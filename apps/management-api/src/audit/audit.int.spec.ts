import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  checkpointText,
  Frontier,
  leafHash,
  originOf,
  SigningKey,
  TreeCheck,
  verifyConsistency,
  verifyInclusion,
} from '@posthaste/audit-tree';
import type { AuditCheckpoint, AuditEntryList, ConsistencyProof, InclusionProof } from '@posthaste/contracts';
import type { TenantClient } from '@posthaste/test-kit';
import { refusalOf } from '../proving/refusal-of.js';
import { ScriptedHistory } from '../proving/scripted-history.js';
import { startTestBed, type TestBed } from '../proving/test-bed.js';

// What audit-log is asked, and what becomes of its answers. The real one is proven with audit-log and end to end.

let bed: TestBed;
const history = new ScriptedHistory();
let tenant: TenantClient;

beforeAll(async () => {
  bed = await startTestBed({ history });
  tenant = await bed.api.newTenant();
  await tenant.putAccount('acme');
}, 60_000);
afterAll(() => bed.stop());

const key = new SigningKey(Buffer.alloc(32, 7));
const canonical = Buffer.from(
  '{"action":"tenant.created","actor":"operator","at":1,"changed":["name"],"entity":{"id":"ten_1","kind":"tenant",' +
    '"version":1},"from":"192.0.2.1","id":"aud_1","requestId":"r","tenant":"ten_1","type":"ConfigurationChanged","v":1}',
);

beforeEach(() => {
  history.asked.length = 0;
  const tree = new Frontier();
  const leaf = leafHash(canonical);
  const [origin, rows] = [originOf(tenant.id), [0, 1, 2]];
  const data = rows.map((sequence) => {
    tree.append(leaf);
    const head = { origin, size: tree.size, root: tree.root() };
    return { sequence, canonical, leaf_hash: leaf, signature: key.sign(head) };
  });
  const head = { origin, size: 3, root: tree.root() };
  history.replies['ListEntries'] = ({ from = 0, limit }) => {
    const start = Number(from);
    return { data: data.slice(start, start + Number(limit)), size: 3 };
  };
  history.replies['GetCheckpoint'] = () => ({
    ...{ checkpoint: checkpointText(head, [key.sign(head)]), size: 3 },
    public_keys: [key.verifierFor(origin)],
  });
});

describe('the audit log', () => {
  it('is read page by page, and what is answered is enough to verify it', async () => {
    const pages: AuditEntryList[] = [];
    for (let from: number | null = 0; from !== null; from = pages.at(-1)?.next_from ?? null) {
      pages.push((await tenant.rest.get<AuditEntryList>(`/v1/audit/entries?from=${from}&limit=2`)).json);
    }
    expect(pages.map(({ next_from, has_more, size }) => [next_from, has_more, size])).toEqual([
      [2, true, 3],
      [null, false, 3],
    ]);
    const { json } = await tenant.rest.get<AuditCheckpoint>('/v1/audit/checkpoint');
    const check = new TreeCheck(json, null);
    for (const row of pages.flatMap(({ data }) => data)) check.add(row);
    expect(check.finish()).toBeNull();
    expect(json).toMatchObject({ size: 3, root: check.checkpoint?.root.toString('hex') });
    expect(pages[0]?.data[0]?.entry).toEqual({
      ...{
        id: 'aud_1',
        tenant: 'ten_1',
        action: 'tenant.created',
        actor: 'operator',
        from: '192.0.2.1',
        at: 1,
      },
      ...{ entity: { kind: 'tenant', id: 'ten_1', version: 1 }, changed: ['name'] },
    });
    expect(history.asked[0]?.request).toMatchObject({ tenant: tenant.id, limit: 2 });
  });

  it('ends where rows are gone, and shows what cannot be read any more as it is', async () => {
    const odd = { sequence: 1, canonical: Buffer.from('{"\xff'), leaf_hash: canonical, signature: canonical };
    history.replies['ListEntries'] = () => ({ data: [odd], size: 3 });
    const { json } = await tenant.rest.get<AuditEntryList>('/v1/audit/entries?limit=3');
    expect(json).toMatchObject({ next_from: null, has_more: false, data: [{ sequence: 1, entry: null }] });
    history.replies['GetCheckpoint'] = () => ({ public_keys: [] });
    expect(refusalOf(await tenant.rest.get('/v1/audit/checkpoint')).slice(0, 2)).toEqual([404, 'not_found']);
  });

  it('is proven', async () => {
    const leaf = leafHash(canonical);
    const tree = new Frontier();
    tree.append(leaf);
    tree.append(leaf);
    const two = tree.root();
    tree.append(leaf);
    const [three, size] = [tree.root(), 3];
    history.replies['ProveInclusion'] = () => ({
      proof: { size, leaf_hash: leaf, root: three, path: [leaf, leaf] },
      tree_size: size,
    });
    history.replies['ProveConsistency'] = () => ({
      proof: { to: size, from_root: two, to_root: three, path: [leaf] },
      tree_size: size,
    });
    const bytes = (hashes: string[]): Buffer[] => hashes.map((text) => Buffer.from(text, 'hex'));
    const included = (await tenant.rest.get<InclusionProof>('/v1/audit/proof/inclusion?sequence=0')).json;
    expect(verifyInclusion({ leaf, index: 0, size: included.size, path: bytes(included.path) }, three)).toBe(
      true,
    );
    const { json } = await tenant.rest.get<ConsistencyProof>('/v1/audit/proof/consistency?from=2');
    expect(verifyConsistency({ from: json.from, to: json.to, path: bytes(json.path) }, two, three)).toBe(
      true,
    );
  });

  it('refuses what is beyond the tree or no number, accounts, and keys without the permission', async () => {
    for (const method of ['ProveInclusion', 'ProveConsistency']) {
      history.replies[method] = () => ({ tree_size: 3 });
    }
    const refused = async (path: string, rest = tenant.rest) =>
      refusalOf(await rest.get(`/v1/audit/${path}`));
    const invalid = (what: string) => [400, 'invalid_request', what];
    expect(await refused('proof/inclusion?sequence=3')).toEqual(invalid('?sequence beyond_the_tree'));
    expect(await refused('proof/inclusion?sequence=0&size=4')).toEqual(invalid('?size beyond_the_tree'));
    expect(await refused('proof/consistency?from=3&to=2')).toEqual(invalid('?from beyond_the_tree'));
    expect(await refused('proof/consistency?from=1&to=4')).toEqual(invalid('?to beyond_the_tree'));
    expect((await refused('entries?from=-1'))[2]).toMatch('?from');
    expect((await refused('entries?limit=1001'))[2]).toMatch('?limit');
    const account = await bed.api.accountClient(tenant, 'acme');
    expect((await refused('entries', account))[0]).toBe(403);
    history.replies['ListEntries'] = () => {
      throw new Error('away');
    };
    expect(await refused('entries')).toEqual([503, 'unavailable']);
  });
});
