/**
 * A few places for requests that do not count, beside the lanes of those that do. Whoever finds none is turned away:
 * nobody waits here, so nothing piles up.
 */
export class Places {
  private readonly taken = new Map<string, number>();

  /** @param claims a place for each key, with how many the key has. Answers how to give them back; null: none is free. */
  take(claims: Readonly<Record<string, number>>): (() => void) | null {
    const keys = Object.keys(claims);
    if (keys.some((key) => this.takenOf(key) >= (claims[key] ?? 0))) return null;
    for (const key of keys) this.taken.set(key, this.takenOf(key) + 1);
    return () => {
      for (const key of keys) {
        const left = this.takenOf(key) - 1;
        if (left > 0) this.taken.set(key, left);
        else this.taken.delete(key);
      }
    };
  }

  private takenOf(key: string): number {
    return this.taken.get(key) ?? 0;
  }
}
