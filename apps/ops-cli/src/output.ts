/** What a command has to say: data for programs, and the same as blocks of text for people. */
export type Answer =
  | {
      kind: 'data';
      json: unknown;
      blocks: Block[];
      /** For people, beside the answer: where it goes on, what was left out. */
      note?: string;
      /** It was carried out, and what it found is not good. */
      isBad?: boolean;
    }
  | {
      /** Lines that come one after the other, for as long as they do. */
      kind: 'lines';
      titles: string[];
      /** What longer cells need more of moves those behind them. */
      widths: number[];
      lines: AsyncIterable<{ json: unknown; cells: Cell[] }>;
    }
  | { kind: 'bytes'; bytes: Buffer }
  | { kind: 'text'; text: string };

export type Cell = string | number | boolean | null | undefined;
export type Block = { titles: string[]; rows: Cell[][] } | { fields: [string, Cell][] };

export interface Style {
  /** Paints words whose meaning has a colour. */
  hasColour: boolean;
}

const colours = new Map<string, number>([
  ...['delivered', 'succeeded', 'enabled', 'ok', 'ready'].map((word): [string, number] => [word, 32]),
  ...['pending', 'retrying', 'deferred', 'warning'].map((word): [string, number] => [word, 33]),
  ...['exhausted', 'failed', 'disabled', 'wrong', 'not ready', 'away'].map((word): [string, number] => [
    word,
    31,
  ]),
]);

export function render(blocks: Block[], style: Style): string {
  return blocks
    .map((block) => ('fields' in block ? fieldsText(block.fields, style) : tableText(block, style)))
    .join('\n');
}

function tableText({ titles, rows }: { titles: string[]; rows: Cell[][] }, style: Style): string {
  if (rows.length === 0) return 'nothing found\n';
  const texts = rows.map((row) => row.map(cellText));
  const widths = titles.map((title, i) => Math.max(title.length, ...texts.map((row) => row[i]?.length ?? 0)));
  const isNumber = titles.map((_, i) => {
    const cells = rows.map((row) => row[i]).filter((cell) => cell !== null && cell !== undefined);
    return cells.length > 0 && cells.every((cell) => typeof cell === 'number');
  });
  const line = (cells: string[], paint: (padded: string, text: string) => string): string =>
    cells
      .map((text, i) => {
        const width = widths[i] ?? 0;
        return paint(isNumber[i] ? text.padStart(width) : text.padEnd(width), text);
      })
      .join('  ')
      .trimEnd();
  const head = line(titles, (padded) => (style.hasColour ? `\u001b[2m${padded}\u001b[22m` : padded));
  const body = texts.map((row) => line(row, (padded, text) => painted(padded, text, style)));
  return `${[head, ...body].join('\n')}\n`;
}

/** One line of a table whose rows are not known beforehand. */
export function lineText(cells: Cell[], widths: number[], style: Style): string {
  const texts = cells.map((cell, i) => {
    const text = cellText(cell);
    const padded = typeof cell === 'number' ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0);
    return painted(padded, text, style);
  });
  return `${texts.join('  ').trimEnd()}\n`;
}

function fieldsText(fields: [string, Cell][], style: Style): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields
    .map(([name, value]) =>
      `${name.padEnd(width)}  ${painted(cellText(value), cellText(value), style)}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function painted(padded: string, text: string, { hasColour }: Style): string {
  const colour = colours.get(text);
  return hasColour && colour !== undefined ? `\u001b[${colour}m${padded}\u001b[39m` : padded;
}

const cellText = (cell: Cell): string => (cell === null || cell === undefined ? '-' : harmless(String(cell)));

/**
 * What strangers wrote, fit for a terminal: URLs and error messages come from customers and their servers, and an
 * escape sequence among them could repaint the screen or worse.
 */
export function harmless(text: string, keep = ''): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (char) =>
    keep.includes(char) ? char : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** An object of the API as lines of a name and a value. */
export function fieldsOf(value: object): Block {
  const shown = (field: unknown): Cell =>
    typeof field === 'object' && field !== null ? JSON.stringify(field) : (field as Cell);
  return { fields: Object.entries(value).map(([name, field]) => [name, shown(field)]) };
}
