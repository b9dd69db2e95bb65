/** Waits for work, but no longer than this: kafkajs may wait for answers that never come. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  try {
    await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}
