// Says what is being waited for and how long it took. On a terminal the line is rewritten as time goes on; elsewhere
// each step is announced, mentioned again while it lasts, and reported, in plain lines.
const MENTION_MS = 15_000;

export async function step(name, work) {
  const startedAt = Date.now();
  const seconds = () => `${((Date.now() - startedAt) / 1000).toFixed(1)} s`;
  const isTerminal = process.stdout.isTTY;
  const draw = () => process.stdout.write(`\r\u001b[K  … ${name} (${seconds()})`);
  const mention = () => console.log(`  … still ${name} (${seconds()})`);
  const timer = isTerminal ? setInterval(draw, 250) : setInterval(mention, MENTION_MS);
  if (isTerminal) draw();
  else console.log(`  … ${name}`);
  let failed = true;
  try {
    const result = await work();
    failed = false;
    return result;
  } finally {
    clearInterval(timer);
    console.log(`${isTerminal ? '\r\u001b[K' : ''}  ${failed ? '✗' : '✓'} ${name} (${seconds()})`);
  }
}
