/**
 * Takes secrets out of what a stranger sent, before it is kept: receivers echo requests. Found are a secret as it is,
 * percent-encoded or in JSON with its slashes escaped, and the beginning of one at the very end, where a body was cut.
 * Not found is what was compressed, encrypted or encoded otherwise.
 */
const SHOWN = '***';
/** A shorter beginning of a secret at the end says too little to be worth the false finds. */
const CUT_CHARS_MIN = 8;

export function scrub(bytes: Buffer, secrets: readonly string[]): Buffer {
  if (bytes.length === 0) return bytes;
  // Latin-1 keeps every byte as one character, whatever the bytes mean.
  const text = bytes.toString('latin1');
  const clean = scrubText(text, secrets);
  return clean === text ? bytes : Buffer.from(clean, 'latin1');
}

export function scrubText(text: string, secrets: readonly string[]): string {
  const spellings = new Set(secrets.flatMap(spellingsOf));
  let clean = text;
  for (const spelling of spellings) clean = clean.replaceAll(spelling, SHOWN);
  for (const spelling of spellings) clean = withoutCutEnd(clean, spelling);
  return clean;
}

function spellingsOf(secret: string): string[] {
  if (secret === '') return [];
  const bytes = Buffer.from(secret).toString('latin1');
  return [bytes, encodeURIComponent(secret), bytes.replaceAll('/', '\\/')];
}

function withoutCutEnd(text: string, secret: string): string {
  for (let length = Math.min(secret.length - 1, text.length); length >= CUT_CHARS_MIN; length--) {
    if (text.endsWith(secret.slice(0, length))) return text.slice(0, -length) + SHOWN;
  }
  return text;
}
