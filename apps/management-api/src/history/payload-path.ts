import type { PayloadMatch } from '@posthaste/contracts';
import { fieldProblem } from '../http/refusals.js';

const STEP =
  /^(?:\.(?<name>[\p{L}_][\p{L}\p{N}_-]*)|\[(?<index>\d{1,9})\]|\[(?<quoted>"(?:[^"\\]|\\.)*")\])/u;

/**
 * Reads the filter `payload`: `$.order.id=42`. A path is `$` and steps: `.name`, `[0]` into an array, `["any name"]` for a
 * member's name as a JSON string. The value is a JSON number, string, true, false or null; what is none of these is a
 * string as it stands, so that `$.status=paid` needs no quotes, and `$.id="42"` tells a string from a number.
 */
export function payloadMatch(text: string | undefined): PayloadMatch | undefined {
  if (text === undefined) return undefined;
  const path: string[] = [];
  let rest = text.slice(1);
  if (!text.startsWith('$')) throw refused('bad_path', 'must begin with $');
  for (let step = STEP.exec(rest); step !== null; step = STEP.exec(rest)) {
    const { name, index, quoted } = step.groups ?? {};
    path.push(name ?? index ?? textOf(quoted ?? ''));
    rest = rest.slice(step[0].length);
  }
  if (!rest.startsWith('=')) {
    const at = text.length - rest.length;
    throw refused(
      'bad_path',
      `is no path at character ${at + 1}: .name, [0], ["name"] or =value must follow`,
    );
  }
  return { path, value_json: scalar(rest.slice(1)) };
}

function textOf(quoted: string): string {
  const name = json(quoted);
  if (typeof name !== 'string') throw refused('bad_path', `has a name that is no JSON string: ${quoted}`);
  return storable(name);
}

function scalar(text: string): string {
  const value = json(text);
  switch (typeof value) {
    case 'string':
      return JSON.stringify(storable(value));
    case 'undefined':
      return JSON.stringify(storable(text));
    case 'number':
      // Digits beyond a double's count, too: PostgreSQL compares them all.
      if (Number.isFinite(value)) return text;
      throw refused('bad_value', 'compares with a number that is too large');
    default:
      if (value !== null && typeof value === 'object')
        throw refused('bad_value', 'compares with an object or array');
      return text;
  }
}

/** Undefined for what is no JSON. */
function json(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** What PostgreSQL can compare: it has no NUL and no half of a surrogate pair in a text. */
function storable(text: string): string {
  if (text.includes('\0') || !text.isWellFormed()) {
    throw refused('bad_value', 'has a character that cannot be searched for');
  }
  return text;
}

function refused(code: string, message: string): Error {
  return fieldProblem([{ pointer: '?payload', code, message }]);
}
