/**
 * A health check that passes once a projection has what the log held at start. A rebuild may take longer than a
 * deployment waits: after a minute it passes all the same, while `catchingUp` still says so to a gauge.
 */
const CATCH_UP_LIMIT_MS = 60_000;

export function catchUpCheck(
  caughtUp: Promise<void>,
  catchingUp: (now: boolean) => void,
): () => string | null {
  const deadline = performance.now() + CATCH_UP_LIMIT_MS;
  let done = false;
  catchingUp(true);
  void caughtUp.then(() => {
    done = true;
    catchingUp(false);
  });
  return () => (done || performance.now() > deadline ? null : 'reading what the log held at start');
}
