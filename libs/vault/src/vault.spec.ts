import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { parseKeks, type SealContext, Vault } from './index.js';

const kek = (id: string) => ({ id, key: randomBytes(32) });
const place: SealContext = { table: 'endpoint', tenant: 'ten_1', row: 'ep_1', column: 'secret' };

describe('a sealed secret', () => {
  const vault = new Vault([kek('k1')]);
  const dataKey = vault.newDataKey('ten_1');

  it('opens where it belongs', () => {
    expect(vault.open([dataKey], place, vault.seal(dataKey, place, 'whsec_é'))).toBe('whsec_é');
  });

  it('differs each time, and does not show its content', () => {
    const sealed = vault.seal(dataKey, place, 'whsec_abc');
    expect(sealed).not.toBe(vault.seal(dataKey, place, 'whsec_abc'));
    expect(sealed).not.toContain('whsec');
  });

  it.each(['table', 'row', 'column'] as const)('does not open with another %s', (field) => {
    const sealed = vault.seal(dataKey, place, 'x');
    expect(() => vault.open([dataKey], { ...place, [field]: 'other' }, sealed)).toThrow(
      expect.objectContaining({ code: 'not_authentic' }),
    );
  });

  it('does not open for another tenant, whose wrapped key it cannot even read', () => {
    const sealed = vault.seal(dataKey, place, 'x');
    const fresh = new Vault([kek('k1')]);
    expect(() => fresh.open([dataKey], { ...place, tenant: 'ten_2' }, sealed)).toThrow(
      expect.objectContaining({ code: 'not_authentic' }),
    );
  });

  it('does not open after any one byte of it was changed', () => {
    const sealed = vault.seal(dataKey, place, 'secret');
    const at = sealed.lastIndexOf('.') + 1;
    const bytes = Buffer.from(sealed.slice(at), 'base64url');
    for (let i = 0; i < bytes.length; i++) {
      const altered = Buffer.from(bytes);
      altered[i] = (altered[i] as number) ^ 1;
      expect(() => vault.open([dataKey], place, sealed.slice(0, at) + altered.toString('base64url'))).toThrow(
        expect.objectContaining({ code: 'not_authentic' }),
      );
    }
  });

  it.each(['', 'v1', 'v2.a.b.c', 'v1.a', `v1.${'x'}.y`])('refuses %j as not one of ours', (text) => {
    expect(() => vault.open([dataKey], place, text)).toThrow(expect.objectContaining({ code: 'bad_format' }));
  });
});

describe('rotating the key-encryption key', () => {
  it('wraps the data key again and leaves what it sealed readable', () => {
    const old = kek('old');
    const before = new Vault([old]);
    const dataKey = before.newDataKey('ten_1');
    const sealed = before.seal(dataKey, place, 'kept');
    const current = kek('new');
    const rewrapped = new Vault([current, old]).rewrap('ten_1', dataKey);
    expect(rewrapped.kek).toBe('new');
    expect(new Vault([current]).open([rewrapped], place, sealed)).toBe('kept');
    expect(() => new Vault([current]).open([dataKey], place, sealed)).toThrow(
      expect.objectContaining({ code: 'unknown_kek' }),
    );
  });
});

describe('keys from the operator', () => {
  it('are read in order, and a short one is refused', () => {
    const text = `a:${randomBytes(32).toString('base64')},b:${randomBytes(16).toString('base64')}`;
    expect(parseKeks(text).map(({ id, key }) => [id, key.length])).toEqual([
      ['a', 32],
      ['b', 16],
    ]);
    expect(() => new Vault(parseKeks(text))).toThrow(expect.objectContaining({ code: 'bad_kek' }));
    expect(() => new Vault([])).toThrow(expect.objectContaining({ code: 'no_kek' }));
  });
});
