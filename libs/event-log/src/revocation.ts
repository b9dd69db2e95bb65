/** How long others wait for a handler to let go of its partitions. */
const REVOCATION_MS = 2_000;

/** Waits for a revocation handler, but not for ever, and not for its success: the partitions go in any case. */
export async function withinRevocationTime(work: Promise<void> | void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, REVOCATION_MS)));
  await Promise.race([Promise.resolve(work).catch(() => undefined), over]);
  clearTimeout(timer);
}
