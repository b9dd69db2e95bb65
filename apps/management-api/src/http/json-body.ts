import { isUtf8 } from 'node:buffer';
import { type FieldError, Problem } from '@posthaste/runtime';
import { JsonScanner } from '../publish/json-scanner.js';

/** Deeper nesting than any object of ours; JSON.parse and PostgreSQL would accept far more. */
const MAX_DEPTH = 32;

/**
 * A request body as a value, or a Problem that says where it stops being one.
 *
 * Beyond JSON.parse it refuses what would be read differently by the next program: a name twice in one object,
 * `__proto__` as a name, and the two kinds of string PostgreSQL cannot hold (with U+0000 or half a surrogate pair).
 */
export function parseJsonBody(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw new Problem('malformed_json', 'The body is not valid UTF-8.');
  const walk = new Walk(bytes);
  const end = walk.value(walk.scanner.space(0), '', MAX_DEPTH);
  if (walk.fault) throw new Problem('invalid_request', walk.fault.message, [walk.fault]);
  if (end < 0 || !walk.scanner.end(end)) throw faultOf(walk.scanner, bytes);
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
      case '"': {
        const end = this.scanner.string(at);
        if (end > 0 && !isStorable(this.text(at, end))) {
          return this.refuse(pointer, 'bad_string', 'holds U+0000 or half a surrogate pair');
        }
        return end;
      }
      default:
        return this.scanner.value(at, depth);
    }
  }

  private object(at: number, pointer: string, depth: number): number {
    const names = new Set<string>();
    return this.scanner.object(at, depth, (valueAt, keyAt, keyEnd) => {
      const name = this.text(keyAt, keyEnd);
      const place = `${pointer}/${escapePointer(name)}`;
      if (names.has(name)) return this.refuse(place, 'duplicate_field', 'appears twice in one object');
      if (name === '__proto__') return this.refuse(place, 'forbidden_name', 'is not a name we accept');
      if (!isStorable(name)) return this.refuse(place, 'bad_string', 'holds U+0000 or half a surrogate pair');
      names.add(name);
      return this.value(valueAt, place, depth - 1);
    });
  }

  private text(start: number, end: number): string {
    return JSON.parse(this.bytes.toString('utf8', start, end)) as string;
  }

  private refuse(pointer: string, code: string, message: string): -1 {
    this.fault ??= { pointer, code, message };
    return -1;
  }
}

function faultOf({ fault }: JsonScanner, bytes: Buffer): Problem {
  const before = bytes.toString('utf8', 0, fault?.offset ?? 0);
  const line = before.split('\n').length;
  const column = before.length - before.lastIndexOf('\n');
  const place = `at byte ${fault?.offset ?? 0} (line ${line}, column ${column})`;
  return fault?.rule === 'too_deep'
    ? new Problem('invalid_request', `The body is nested deeper than ${MAX_DEPTH} levels ${place}.`)
    : new Problem('malformed_json', `The body stops being JSON ${place}.`);
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** RFC 6901: `~` and `/` inside a name. */
export function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
