import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { parseKeks, type SealContext, Vault, VaultError } from './index.js';

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
    const elsewhere = { ...place, tenant: 'ten_2' };
    for (const foreign of [
      () => vault.open([dataKey], elsewhere, sealed),
      () => vault.seal(dataKey, elsewhere, 'x'),
    ]) {
      expect(foreign).toThrow(expect.objectContaining({ code: 'not_authentic' }));
    }
  });

  it('opens with whichever of the data keys sealed it, and with no other', () => {
    const newer = vault.newDataKey('ten_1');
    const [old, fresh] = [vault.seal(dataKey, place, 'old'), vault.seal(newer, place, 'fresh')];
    expect([old, fresh].map((sealed) => vault.open([newer, dataKey], place, sealed))).toEqual([
      'old',
      'fresh',
    ]);
    expect(() => vault.open([newer], place, old)).toThrow(expect.objectContaining({ code: 'unknown_key' }));
    const swapped = old.replace(dataKey.id, newer.id);
    expect(() => vault.open([newer, dataKey], place, swapped)).toThrow(
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

  it('works with both keys until the last data key is wrapped again', () => {
    const [old, current] = [kek('old'), kek('new')];
    const [before, during] = [new Vault([old]), new Vault([current, old])];
    const waiting = before.newDataKey('ten_1');
    const fresh = during.newDataKey('ten_2');
    expect([waiting.kek, fresh.kek]).toEqual(['old', 'new']);
    const sealed = during.seal(waiting, place, 'kept');
    expect(before.open([waiting], place, sealed)).toBe('kept');
    expect(during.rewrap('ten_2', fresh)).toBe(fresh);
    expect(() => during.rewrap('ten_2', waiting)).toThrow(expect.objectContaining({ code: 'not_authentic' }));
  });

  it('does not open with another key of the same id', () => {
    const dataKey = new Vault([kek('k1')]).newDataKey('ten_1');
    expect(() => new Vault([kek('k1')]).seal(dataKey, place, 'x')).toThrow(
      expect.objectContaining({ code: 'not_authentic' }),
    );
  });
});

describe('an error', () => {
  it('never shows a key or a secret', () => {
    const [old, current] = [kek('old'), kek('new')];
    const vault = new Vault([old]);
    const dataKey = vault.newDataKey('ten_1');
    const secret = `whsec_${randomBytes(32).toString('base64')}`;
    const sealed = vault.seal(dataKey, place, secret);
    const base64 = old.key.toString('base64');
    const failing = [
      () => vault.open([dataKey], { ...place, row: 'ep_2' }, sealed),
      () => vault.open([], place, sealed),
      () => vault.open([dataKey], place, secret),
      () => new Vault([current]).open([dataKey], place, sealed),
      () => new Vault([{ id: 'k', key: old.key.subarray(1) }]),
      () => new Vault([old, old]),
      () => parseKeks(base64),
      () => parseKeks(`a:${base64},${base64}`),
      () => parseKeks(`:${base64}`),
    ];
    for (const fail of failing) {
      let shown = 'nothing was thrown';
      try {
        fail();
      } catch (error) {
        expect(error).toBeInstanceOf(VaultError);
        shown = inspect(error, { depth: 10 });
      }
      expect(shown).toContain('VaultError');
      for (const hidden of [secret.slice(6, 30), base64.slice(0, 20), sealed.slice(-20), dataKey.wrapped]) {
        expect(shown).not.toContain(hidden);
      }
    }
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
