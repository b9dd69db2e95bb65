/**
 * JSON in its one canonical form (RFC 8785): members sorted by the UTF-16 code units of their names, no white space, and
 * numbers and strings as ECMAScript writes them. Throws at what has no such form: a number that is not finite, half of a
 * surrogate pair, or what is not JSON at all.
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw new TypeError('half of a surrogate pair has no canonical form');
      return JSON.stringify(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`);
      return JSON.stringify(value);
    case 'boolean':
      return String(value);
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
      return canonicalObject(value as Record<string, unknown>);
    default:
      throw new TypeError(`${typeof value} is not JSON`);
  }
}

function canonicalObject(value: Record<string, unknown>): string {
  const members = Object.keys(value)
    // As JSON.stringify has it: a member that is undefined is none.
    .filter((name) => value[name] !== undefined)
    // Without a comparer this is the order of code units.
    .sort()
    .map((name) => `${canonicalJson(name)}:${canonicalJson(value[name])}`);
  return `{${members.join(',')}}`;
}
