import { describe, expect, it } from '@jest/globals';
import {
  checkpointText,
  foldSubtrees,
  leafHash,
  originOf,
  parseCheckpoint,
  SigningKey,
  Verifiers,
} from './index.js';

const key = new SigningKey(Buffer.alloc(32, 7));
const origin = originOf('ten_1');
const head = { origin, size: 3, root: leafHash(Buffer.from('x')) };

describe('a checkpoint', () => {
  it('is a signed note: the key of the Go implementation has the id and the text it has there', () => {
    // golang.org/x/mod/sumdb/note: PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz
    const seed = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1);
    expect(new SigningKey(seed).verifierFor('PeterNeumann')).toBe(
      'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    );
  });

  it('is three lines, an empty one, and the signatures', () => {
    const text = checkpointText(head, [key.sign(head)]);
    expect(text).toMatch(
      /^posthaste\/ten_1\n3\n[A-Za-z0-9+/]{43}=\n\n\u2014 posthaste\/ten_1 [A-Za-z0-9+/=]+\n$/,
    );
    const parsed = parseCheckpoint(text);
    expect(parsed).toMatchObject(head);
    expect(new Verifiers(origin, [key.verifierFor(origin)]).accept(head, parsed?.signatures ?? [])).toBe(
      true,
    );
  });

  it('is nobody else’s: not of another head, tenant or key', () => {
    const signature = key.sign(head);
    const ours = new Verifiers(origin, [key.verifierFor(origin)]);
    expect(ours.accept({ ...head, size: 4 }, [signature])).toBe(false);
    expect(ours.accept({ ...head, root: foldSubtrees([]) }, [signature])).toBe(false);
    const other = originOf('ten_2');
    expect(
      new Verifiers(other, [key.verifierFor(other)]).accept({ ...head, origin: other }, [signature]),
    ).toBe(false);
    const stranger = new SigningKey(Buffer.alloc(32, 8));
    expect(ours.accept(head, [stranger.sign(head)])).toBe(false);
    expect(ours.accept(head, [stranger.sign(head), signature])).toBe(true);
    expect(() => new Verifiers(origin, [key.verifierFor(other)])).toThrow('not a key');
    expect(() => new Verifiers(origin, [key.verifierFor(origin).replace(/\+.{8}\+/, '+00000000+')])).toThrow(
      'not a key',
    );
  });

  it.each([
    '',
    'a\n1\n',
    'a\n-1\nAAAA\n\n',
    checkpointText(head, [key.sign(head)]).slice(0, -1),
    '{"size":3}',
  ])('is not %j', (text) => {
    expect(parseCheckpoint(text)).toBeNull();
  });

  it('needs 32 bytes to be signed with', () => {
    expect(() => new SigningKey(Buffer.alloc(31))).toThrow('32 bytes');
  });
});
