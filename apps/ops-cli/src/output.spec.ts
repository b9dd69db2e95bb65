import { describe, expect, it } from '@jest/globals';
import { harmless, render } from './output.js';

const plain = { hasColour: false };

describe('what people see', () => {
  const table = {
    titles: ['id', 'status', 'n'],
    rows: [
      ['a', 'delivered', 7],
      ['longer', null, 1_234],
    ],
  };

  it('is aligned: text to the left, numbers to the right', () => {
    expect(render([table], plain)).toBe(
      ['id      status        n', 'a       delivered     7', 'longer  -          1234', ''].join('\n'),
    );
  });

  it('is painted without moving anything', () => {
    const painted = render([table], { hasColour: true });
    expect(painted).toContain('\u001b[32mdelivered\u001b[39m');
    expect(painted.replace(/\u001b\[\d+m/g, '')).toBe(render([table], plain));
  });

  it('says so when there is nothing', () => {
    expect(render([{ titles: ['id'], rows: [] }], plain)).toBe('nothing found\n');
  });

  it('never holds what could drive a terminal, whoever wrote it', () => {
    const hostile = 'https://x.example/\u001b]0;owned\u0007\r\n\u009b2J\u202egpj';
    const shown = render([{ titles: ['url'], rows: [[hostile]] }, { fields: [['url', hostile]] }], plain);
    expect(shown).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(shown.split('\n')).toHaveLength(5);
    expect(harmless('a\tb\u001b', '\t')).toBe('a\tb\\x1b');
  });
});
