import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as noble from '@noble/ed25519';
import fc from 'fast-check';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { newSigningSecret, publicKeyOf, render, signingKey, versionOf } from './index.js';

// The second opinion is @noble/ed25519, which signs and verifies with code of its own.

const whsk = 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==';
const whpk = 'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=';
const facts = { account: 'acc_1', type: 'a.b', at: 0 };
const bytesOf = (key: string) => Buffer.from(key.slice(key.indexOf('_') + 1), 'base64');

function signed(body: string | Buffer, secrets: string[], now: number, id = 'msg_1') {
  const message = { id, ...facts, contentType: 'application/json', payload: Buffer.from(body) };
  const live = secrets.map((secret) => {
    const key = signingKey(secret);
    if (key === null) throw new Error('not a secret');
    return { ...key, expiresAt: null };
  });
  return render('standard', message, { headers: {}, secrets: live, include: null }, 1, now);
}

/** A receiver of v1a, written from the specification alone. */
async function verifies(
  publicKey: string,
  body: string | Buffer,
  headers: Record<string, string>,
  nowMs = Date.now(),
): Promise<boolean> {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': list } = headers;
  if (!id || !timestamp || !list || !/^\d+$/.test(timestamp)) return false;
  if (Math.abs(nowMs / 1000 - Number(timestamp)) > 300) return false;
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), Buffer.from(body)]);
  for (const [version, signature = ''] of list.split(' ').map((part) => part.split(','))) {
    const bytes = Buffer.from(signature, 'base64');
    if (version !== 'v1a' || bytes.length !== 64) continue;
    if (await noble.verifyAsync(bytes, content, bytesOf(publicKey))) return true;
  }
  return false;
}

describe('a v1a signature', () => {
  it('signs vector V3', () => {
    const { headers } = signed(
      '{"test": 2432232314}',
      [whsk],
      1614265330_000,
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
    );
    expect(headers['webhook-signature']).toBe(
      'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
    );
    expect(publicKeyOf(whsk)).toBe(whpk);
  });

  it('is the one that @noble/ed25519 makes of the same seed and content, whatever the bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const secret = newSigningSecret('v1a');
        const { headers } = signed(Buffer.from(bytes), [secret], 1_795_000_000_000);
        const content = Buffer.concat([Buffer.from('msg_1.1795000000.'), bytes]);
        const seed = bytesOf(secret).subarray(0, 32);
        const theirs = Buffer.from(await noble.signAsync(content, seed)).toString('base64');
        expect(headers['webhook-signature']).toBe(`v1a,${theirs}`);
        expect(Buffer.from(await noble.getPublicKeyAsync(seed))).toEqual(bytesOf(publicKeyOf(secret) ?? ''));
      }),
      { numRuns: 30 },
    );
  });

  it('stands beside v1 in the order of the secrets, and each receiver finds its own', async () => {
    const secrets = [
      newSigningSecret('v1a'),
      newSigningSecret('v1'),
      newSigningSecret('v1a'),
      newSigningSecret('v1'),
    ];
    const body = '{"a":1.10}';
    const { headers } = signed(body, secrets, Date.now());
    const list = headers['webhook-signature'] ?? '';
    expect(list.split(' ').map((part) => part.split(',')[0])).toEqual(['v1a', 'v1', 'v1a', 'v1']);
    for (const secret of secrets) {
      if (versionOf(secret) === 'v1a') {
        expect(await verifies(publicKeyOf(secret) ?? '', body, headers)).toBe(true);
      } else {
        for (const Library of [StandardWebhook, SvixWebhook]) {
          expect(() => new Library(secret).verify(body, headers)).not.toThrow();
        }
      }
    }
    expect(await verifies(publicKeyOf(newSigningSecret('v1a')) ?? '', body, headers)).toBe(false);
    expect(() => new StandardWebhook(newSigningSecret('v1')).verify(body, headers)).toThrow();
  });
});

describe('what a receiver refuses, of either version', () => {
  const v1 = newSigningSecret('v1');
  const v1a = newSigningSecret('v1a');
  const body = '{"a":1}';
  const at = (seconds: number) => signed(body, [v1a, v1], Date.now() + seconds * 1000).headers;
  const accepted = async (headers: Record<string, string>, sent = body) => {
    const v1Verdicts = [StandardWebhook, SvixWebhook].map((Library) => {
      try {
        new Library(v1).verify(sent, headers);
        return true;
      } catch {
        return false;
      }
    });
    return [...v1Verdicts, await verifies(publicKeyOf(v1a) ?? '', sent, headers)];
  };
  const [all, none] = [
    [true, true, true],
    [false, false, false],
  ];
  const withSignature = (change: (list: string) => string) => {
    const headers = at(0);
    return { ...headers, 'webhook-signature': change(headers['webhook-signature'] ?? '') };
  };

  it.each([
    ['as it was sent', () => at(0), all],
    ['299 s old', () => at(-299), all],
    ['299 s ahead', () => at(299), all],
    ['302 s old', () => at(-302), none],
    ['302 s ahead', () => at(302), none],
    ['without id', () => ({ ...at(0), 'webhook-id': '' }), none],
    ['without timestamp', () => ({ ...at(0), 'webhook-timestamp': '' }), none],
    ['without signature', () => withSignature(() => ''), none],
    ['with a timestamp that is no number', () => ({ ...at(0), 'webhook-timestamp': 'soon' }), none],
    ['with part of each signature', () => withSignature((list) => list.replaceAll(/.{8}( |$)/g, '$1')), none],
    ['with empty signatures', () => withSignature(() => 'v1a, v1,'), none],
    ['with unknown versions', () => withSignature((list) => list.replaceAll(/v1a?,/g, 'v2,')), none],
    ['with the versions exchanged', () => withSignature(swapVersions), none],
    ['among four', () => withSignature((list) => `v1,AAAA v1a,AAAA ${list}`), all],
  ])('%s', async (_, headers, verdicts) => {
    expect(await accepted(headers())).toEqual(verdicts);
  });

  it('with another body', async () => {
    expect(await accepted(at(0), '{"a":2}')).toEqual(none);
  });

  function swapVersions(list: string): string {
    return list.replaceAll(/v1a?,/g, (version) => (version === 'v1,' ? 'v1a,' : 'v1,'));
  }
});

describe('an asymmetric secret', () => {
  const halves = (seed: Buffer, key: Buffer) => `whsk_${Buffer.concat([seed, key]).toString('base64')}`;
  const [one, two] = [bytesOf(newSigningSecret('v1a')), bytesOf(newSigningSecret('v1a'))];

  it.each([
    ['as we make it', newSigningSecret('v1a'), true],
    ['of the vector', whsk, true],
    ['whose public half is of another', halves(one.subarray(0, 32), two.subarray(32)), false],
    ['with a bit of its public half changed', halves(one.subarray(0, 32), flipped(one.subarray(32))), false],
    ['without its public half', `whsk_${one.subarray(0, 32).toString('base64')}`, false],
    ['with a byte more', `whsk_${randomBytes(65).toString('base64')}`, false],
    ['of random bytes', `whsk_${randomBytes(64).toString('base64')}`, false],
    ['that is empty', 'whsk_', false],
    ['that is public', whpk, false],
    ['in base64url', whsk.replaceAll('/', '_'), false],
  ])('%s', (_, secret, usable) => {
    expect(signingKey(secret) !== null).toBe(usable);
  });

  it('has a public half, which a symmetric one has not', () => {
    expect(publicKeyOf(newSigningSecret('v1a'))).toMatch(/^whpk_[A-Za-z0-9+/]{43}=$/);
    expect(publicKeyOf(newSigningSecret('v1'))).toBeNull();
  });

  function flipped(bytes: Buffer): Buffer {
    const copy = Buffer.from(bytes);
    copy[0] = (copy[0] as number) ^ 1;
    return copy;
  }
});
