import { fault, type LineFault, type LineFaultCode, quoted } from './errors.js';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Thrown inside this file only. */
class JsonFault extends Error {
  constructor(
    readonly code: LineFaultCode,
    readonly at: number,
    reason: string,
  ) {
    super(reason);
  }
}

const numberText = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const escapes: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/**
 * RFC 8259 with what JSON.parse lets pass refused: a key that occurs twice (all but the last would be lost without a word), the key
 * `__proto__`, nesting deeper than `maxDepth`. Own parser, because the reasons and positions of JSON.parse differ between Node versions.
 */
export function parseJson(text: string, maxDepth: number): { readonly value: JsonValue } | { readonly fault: LineFault } {
  try {
    return { value: new JsonReader(text, maxDepth).whole() };
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    const column = Array.from(text.slice(0, error.at)).length + 1;
    const prefix = error.code === 'invalid_json' ? 'broken JSON' : 'JSON';
    return { fault: fault(error.code, '', `${prefix} at column ${column}: ${error.message}`) };
  }
}

class JsonReader {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly maxDepth: number,
  ) {}

  whole(): JsonValue {
    const value = this.value(1);
    this.blanks();
    if (this.at < this.text.length) throw this.unexpected('the end of the line');
    return value;
  }

  private value(depth: number): JsonValue {
    this.blanks();
    switch (this.text[this.at]) {
      case '{':
        return this.object(depth);
      case '[':
        return this.array(depth);
      case '"':
        return this.string();
      case 't':
        return this.word('true', true);
      case 'f':
        return this.word('false', false);
      case 'n':
        return this.word('null', null);
      default: {
        numberText.lastIndex = this.at;
        const digits = numberText.exec(this.text)?.[0] ?? '';
        if (digits === '') throw this.unexpected('a value');
        this.at += digits.length;
        return Number(digits);
      }
    }
  }

  private object(depth: number): JsonValue {
    this.open(depth);
    const object: Record<string, JsonValue> = {};
    if (this.closes('}')) return object;
    for (;;) {
      this.blanks();
      const start = this.at;
      if (this.text[start] !== '"') throw this.unexpected('a key in double quotes');
      const key = this.string();
      if (key === '__proto__') throw new JsonFault('forbidden_key', start, `the key ${quoted(key)} is not allowed`);
      if (Object.hasOwn(object, key)) throw new JsonFault('duplicate_key', start, `the key ${quoted(key)} occurs twice`);
      this.blanks();
      if (this.text[this.at] !== ':') throw this.unexpected("':' after the key");
      this.at++;
      object[key] = this.value(depth + 1);
      if (this.closes('}')) return object;
      if (this.text[this.at] !== ',') throw this.unexpected("',' or '}'");
      this.at++;
    }
  }

  private array(depth: number): JsonValue {
    this.open(depth);
    const items: JsonValue[] = [];
    if (this.closes(']')) return items;
    for (;;) {
      items.push(this.value(depth + 1));
      if (this.closes(']')) return items;
      if (this.text[this.at] !== ',') throw this.unexpected("',' or ']'");
      this.at++;
    }
  }

  private open(depth: number): void {
    if (depth > this.maxDepth) throw new JsonFault('too_deep', this.at, `is nested deeper than ${this.maxDepth}`);
    this.at++;
  }

  private closes(bracket: string): boolean {
    this.blanks();
    if (this.text[this.at] !== bracket) return false;
    this.at++;
    return true;
  }

  private string(): string {
    const start = this.at++;
    let value = '';
    for (;;) {
      const from = this.at;
      this.skipPlain();
      value += this.text.slice(from, this.at);
      const next = this.text[this.at];
      if (next === '"') {
        this.at++;
        return value;
      }
      if (next === undefined) throw new JsonFault('invalid_json', start, 'the text that begins here has no closing quote');
      if (next !== '\\') throw new JsonFault('invalid_json', this.at, 'control character in text; write it as an escape such as \\n');
      value += this.escape();
    }
  }

  private escape(): string {
    const letter = this.text[this.at + 1] ?? '';
    if (letter === 'u') {
      const digits = this.text.slice(this.at + 2, this.at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new JsonFault('invalid_json', this.at, '\\u needs four hexadecimal digits');
      this.at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const value = escapes[letter];
    if (letter === '' || value === undefined) throw new JsonFault('invalid_json', this.at, `unknown escape ${quoted(`\\${letter}`)}`);
    this.at += 2;
    return value;
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw this.unexpected('a value');
    this.at += word.length;
    return value;
  }

  /** To the next quote, backslash, control character or the end. */
  private skipPlain(): void {
    for (; this.at < this.text.length; this.at++) {
      const code = this.text.charCodeAt(this.at);
      if (code < 32 || code === 34 || code === 92) return;
    }
  }

  private blanks(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 32 && code !== 9 && code !== 10 && code !== 13) return;
      this.at++;
    }
  }

  private unexpected(wanted: string): JsonFault {
    const point = this.text.codePointAt(this.at);
    const found = point === undefined ? 'the end of the line' : quoted(String.fromCodePoint(point));
    return new JsonFault('invalid_json', this.at, `expected ${wanted}, found ${found}`);
  }
}
