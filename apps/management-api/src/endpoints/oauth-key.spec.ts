import { describe, expect, it } from '@jest/globals';
import { generatedKey, keySet, previousKey } from './oauth-key.js';

describe('a key set', () => {
  it('shows the key before until the last assertion it signed has been looked at', async () => {
    const [old, next] = [await generatedKey(), await generatedKey('EdDSA')];
    const oauth = {
      ...{ tokenUrl: 'https://x.example/', clientId: 'c', method: 'private_key_jwt' as const },
      ...{ credential: { id: 'sec_1', sealed: 's' }, key: { public: old.public, jwks: 'x' } },
      ...{ scope: null, resource: [], audience: null, assertionAudience: 'a' },
    };
    const previous = previousKey(oauth, 1_000);
    const signsUntil = 1_000 + 300_000 + 30_000;
    expect(previous).toEqual({ public: old.public, credential: { id: 'sec_1', sealed: 's' }, signsUntil });
    const at = (nowMs: number) => keySet({ public: next.public, previous }, nowMs);
    expect(at(signsUntil + 299_999)).toEqual([next.public, old.public]);
    expect(at(signsUntil + 300_000)).toEqual([next.public]);
    expect(previousKey({ ...oauth, key: null }, 1_000)).toBeUndefined();
  });
});
