/**
 * Many byte strings as one parameter. An array of bytea would travel as text, two characters a byte and escaped; one
 * bytea travels as it is, and the statement cuts it with `substr(blob, start, bytes)`. Absent ones are null.
 */
export interface PackedBytes {
  blob: Buffer;
  /** From 1, as SQL counts. */
  starts: (number | null)[];
  bytes: (number | null)[];
}

export function packBytes(parts: (Buffer | null)[]): PackedBytes {
  let at = 1;
  const starts = parts.map((part) => {
    if (part === null) return null;
    const start = at;
    at += part.length;
    return start;
  });
  const present = parts.filter((part) => part !== null);
  return { blob: Buffer.concat(present), starts, bytes: parts.map((part) => part?.length ?? null) };
}
