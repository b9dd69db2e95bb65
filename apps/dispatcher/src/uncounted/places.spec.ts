import { describe, expect, it } from '@jest/globals';
import { Places } from './places.js';

describe('places', () => {
  it('are taken of all keys or of none, and given back', () => {
    const places = new Places();
    const first = places.take({ a: 1, all: 2 });
    expect(first).not.toBeNull();
    expect(places.take({ a: 1, all: 2 })).toBeNull();
    // What was refused for `a` took nothing of `all`.
    const second = places.take({ b: 1, all: 2 });
    expect(second).not.toBeNull();
    expect(places.take({ c: 1, all: 2 })).toBeNull();
    first?.();
    expect(places.take({ a: 1, all: 2 })).not.toBeNull();
  });
});
