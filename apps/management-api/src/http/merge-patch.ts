/** RFC 7396 for one object: null removes a name, anything else replaces it. */
export function mergePatch<T>(
  current: Record<string, T>,
  patch: Record<string, T | null>,
): Record<string, T> {
  const merged = { ...current };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = value;
  }
  return merged;
}

/** Names of the fields whose values differ. */
export function changedFields(before: object, after: object): string[] {
  const old = before as Record<string, unknown>;
  return Object.entries(after)
    .filter(([name, value]) => canonical(value) !== canonical(old[name]))
    .map(([name]) => name);
}

/** JSON with sorted names: jsonb keeps its own order. */
function canonical(value: unknown): string {
  return JSON.stringify(value ?? null, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
