export interface WaitOptions {
  deadlineMs?: number;
  everyMs?: number;
  /** What is waited for, for the message when it does not come. */
  what?: string;
}

/**
 * Asks until the answer is neither false, null nor undefined, and gives it back. The last resort: where a thing can
 * tell by itself that it has happened, await that. Rejects at the deadline with the last error or answer seen.
 */
export async function waitFor<T>(
  ask: () => T | Promise<T>,
  { deadlineMs = 45_000, everyMs = 25, what = 'the condition' }: WaitOptions = {},
): Promise<Exclude<T, false | null | undefined>> {
  const end = Date.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== false && answer !== null && answer !== undefined) {
        return answer as Exclude<T, false | null | undefined>;
      }
      last = answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      const seen = last instanceof Error ? last.message : String(last);
      throw new Error(`${what} did not come true within ${deadlineMs} ms; last seen: ${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
