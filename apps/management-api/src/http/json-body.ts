import { type FieldError, Problem } from '@posthaste/runtime';
import { jsonProblem, utf8Fault } from './json-problem.js';
import { JsonScanner } from './json-scanner.js';
import { pointerToken } from './refusals.js';

/** Deeper nesting than any object of ours; JSON.parse and PostgreSQL would accept far more. */
const MAX_DEPTH = 32;

/**
 * A request body as a value, or a Problem that says where it stops being one.
 *
 * Beyond JSON.parse it refuses what the next program would read differently, or we would keep differently: a name twice
 * in one object, `__proto__` as a name, numbers a double cannot hold (1e400, or integers that would lose digits), and
 * the two kinds of string PostgreSQL cannot store (with U+0000 or half a surrogate pair).
 */
export function parseJsonBody(bytes: Buffer): unknown {
  const unreadable = utf8Fault(bytes);
  if (unreadable) throw jsonProblem(unreadable, bytes);
  const walk = new Walk(bytes);
  const end = walk.value(walk.scanner.space(0), '', MAX_DEPTH);
  if (walk.fault) {
    const { pointer, message } = walk.fault;
    throw new Problem('invalid_request', `${pointer === '' ? 'The body' : pointer} ${message}.`, [
      walk.fault,
    ]);
  }
  if (end >= 0) walk.scanner.end(end);
  if (walk.scanner.fault) throw jsonProblem(walk.scanner.fault, bytes);
  return JSON.parse(bytes.toString()) as unknown;
}

class Walk {
  readonly scanner: JsonScanner;
  fault: FieldError | undefined;

  constructor(private readonly bytes: Buffer) {
    this.scanner = new JsonScanner(bytes);
  }

  /** Walks the value at the offset; answers the offset after it, or -1. */
  value(at: number, pointer: string, depth: number): number {
    switch (String.fromCharCode(this.scanner.byteAt(at))) {
      case '{':
        return this.object(at, pointer, depth);
      case '[': {
        let index = 0;
        return this.scanner.array(at, depth, (element) =>
          this.value(element, `${pointer}/${index++}`, depth - 1),
        );
      }
      default:
        return this.scalar(at, pointer, depth);
    }
  }

  private scalar(at: number, pointer: string, depth: number): number {
    const end = this.scanner.value(at, depth);
    if (end < 0) return end;
    const value = this.parse(at, end);
    if (typeof value === 'string' && !isStorable(value)) return this.refuseText(pointer);
    if (typeof value === 'number' && !isExact(value, this.bytes.toString('latin1', at, end))) {
      return this.refuse(
        pointer,
        'number_out_of_range',
        'is a number that would not be kept as it is written',
      );
    }
    return end;
  }

  private object(at: number, pointer: string, depth: number): number {
    const names = new Set<string>();
    return this.scanner.object(at, depth, (valueAt, keyAt, keyEnd) => {
      const name = this.parse(keyAt, keyEnd) as string;
      const place = `${pointer}/${pointerToken(name)}`;
      if (names.has(name)) return this.refuse(place, 'duplicate_field', 'appears twice in one object');
      if (name === '__proto__') return this.refuse(place, 'forbidden_name', 'is not a name we accept');
      if (!isStorable(name)) return this.refuseText(place);
      names.add(name);
      return this.value(valueAt, place, depth - 1);
    });
  }

  private parse(start: number, end: number): unknown {
    return JSON.parse(this.bytes.toString('utf8', start, end));
  }

  private refuseText(pointer: string): -1 {
    return this.refuse(pointer, 'bad_string', 'holds U+0000 or half a surrogate pair');
  }

  private refuse(pointer: string, code: string, message: string): -1 {
    this.fault ??= { pointer, code, message };
    return -1;
  }
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** Fractions are rounded by everyone alike; integers and magnitudes must survive (RFC 7493, 2.2). */
function isExact(value: number, text: string): boolean {
  return Number.isFinite(value) && (Number.isSafeInteger(value) || !/^-?\d+$/.test(text));
}
