/**
 * Walks JSON in its bytes (RFC 8259) and says where values begin and end. It accepts exactly what JSON.parse accepts,
 * up to a depth, and builds nothing: that is how a payload can be checked and yet be passed on byte for byte.
 * The caller has made sure that the bytes are valid UTF-8; a byte order mark is refused, as JSON.parse refuses it.
 *
 * Every method takes the offset to begin at and answers the offset after what it read, or -1; then `fault` says why.
 */
export interface JsonFault {
  rule: 'malformed_json' | 'too_deep';
  /** The first byte that cannot be there. */
  offset: number;
}

/** Reads one member's or element's value and answers the offset after it, or -1. */
export type OnMember = (valueAt: number, keyAt: number, keyEnd: number) => number;
export type OnElement = (valueAt: number) => number;

// Constants rather than an enum: the compiler of the bundle would leave an enum's members as look-ups.
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** 1 for the bytes a string may hold as they are: a look-up is twice as fast as the three comparisons. */
const ORDINARY = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= SPACE && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
);

export class JsonScanner {
  fault: JsonFault | undefined;

  constructor(private readonly bytes: Buffer) {}

  /** The byte at the offset, or -1 beyond the end. */
  byteAt(offset: number): number {
    return offset < this.bytes.length ? (this.bytes[offset] as number) : -1;
  }

  space(at: number): number {
    for (;;) {
      const byte = this.byteAt(at);
      if (byte > SPACE || (byte !== SPACE && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) return at;
      at++;
    }
  }

  /** Any value; `depth` is how many levels of arrays and objects it may open. */
  value(at: number, depth: number): number {
    switch (this.byteAt(at)) {
      case QUOTE:
        return this.string(at);
      case OPEN_BRACE:
        return this.object(at, depth);
      case OPEN_BRACKET:
        return this.array(at, depth);
      case 0x74:
        return this.word(at, 'true');
      case 0x66:
        return this.word(at, 'false');
      case 0x6e:
        return this.word(at, 'null');
      default:
        return this.number(at);
    }
  }

  /** An object; `onMember` reads the values, or they are walked over. */
  object(at: number, depth: number, onMember?: OnMember): number {
    if (this.byteAt(at) !== OPEN_BRACE) return this.fail(at);
    if (depth === 0) return this.fail(at, 'too_deep');
    at = this.space(at + 1);
    if (this.byteAt(at) === CLOSE_BRACE) return at + 1;
    for (;;) {
      const keyAt = at;
      const keyEnd = this.string(keyAt);
      if (keyEnd < 0) return -1;
      at = this.space(keyEnd);
      if (this.byteAt(at) !== 0x3a) return this.fail(at);
      at = this.space(at + 1);
      at = onMember === undefined ? this.value(at, depth - 1) : onMember(at, keyAt, keyEnd);
      if (at < 0) return -1;
      at = this.space(at);
      const byte = this.byteAt(at);
      if (byte === CLOSE_BRACE) return at + 1;
      if (byte !== COMMA) return this.fail(at);
      at = this.space(at + 1);
    }
  }

  /** An array; `onElement` reads the elements, or they are walked over. */
  array(at: number, depth: number, onElement?: OnElement): number {
    if (this.byteAt(at) !== OPEN_BRACKET) return this.fail(at);
    if (depth === 0) return this.fail(at, 'too_deep');
    at = this.space(at + 1);
    if (this.byteAt(at) === CLOSE_BRACKET) return at + 1;
    for (;;) {
      at = onElement === undefined ? this.value(at, depth - 1) : onElement(at);
      if (at < 0) return -1;
      at = this.space(at);
      const byte = this.byteAt(at);
      if (byte === CLOSE_BRACKET) return at + 1;
      if (byte !== COMMA) return this.fail(at);
      at = this.space(at + 1);
    }
  }

  string(at: number): number {
    const { bytes } = this;
    const length = bytes.length;
    if (this.byteAt(at) !== QUOTE) return this.fail(at);
    at++;
    for (;;) {
      // Most bytes of most payloads are read by this line.
      while (at < length && ORDINARY[bytes[at] as number] === 1) at++;
      if (at >= length) return this.fail(at);
      const byte = bytes[at] as number;
      if (byte === QUOTE) return at + 1;
      if (byte !== BACKSLASH) return this.fail(at);
      at = this.escape(at + 1);
      if (at < 0) return -1;
      at++;
    }
  }

  /** Nothing but white space may follow. */
  end(at: number): boolean {
    at = this.space(at);
    if (this.byteAt(at) === -1) return true;
    this.fail(at);
    return false;
  }

  fail(offset: number, rule: JsonFault['rule'] = 'malformed_json'): -1 {
    this.fault = { rule, offset };
    return -1;
  }

  /** What follows a backslash; answers the offset of its last byte. */
  private escape(at: number): number {
    const byte = this.byteAt(at);
    if (byte === 0x75) {
      for (let digit = 0; digit < 4; digit++) if (!isHex(this.byteAt(++at))) return this.fail(at);
      return at;
    }
    return byte !== -1 && '"\\/bfnrt'.includes(String.fromCharCode(byte)) ? at : this.fail(at);
  }

  private word(at: number, word: string): number {
    for (let i = 1; i < word.length; i++) {
      if (this.byteAt(at + i) !== word.charCodeAt(i)) return this.fail(at + i);
    }
    return at + word.length;
  }

  private number(at: number): number {
    if (this.byteAt(at) === MINUS) at++;
    at = this.byteAt(at) === ZERO ? at + 1 : this.digits(at);
    if (at > 0 && this.byteAt(at) === 0x2e) at = this.digits(at + 1);
    if (at > 0 && (this.byteAt(at) === 0x65 || this.byteAt(at) === 0x45)) {
      at++;
      if (this.byteAt(at) === MINUS || this.byteAt(at) === 0x2b) at++;
      at = this.digits(at);
    }
    return at;
  }

  /** At least one digit. */
  private digits(at: number): number {
    if (!isDigit(this.byteAt(at))) return this.fail(at);
    while (isDigit(this.byteAt(at))) at++;
    return at;
  }
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

function isHex(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}
