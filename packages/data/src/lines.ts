import { fault, type LineFault } from './errors.js';

/** One line without its end. `fault` in place of `text` when it cannot be read; `bytes` counts what was there, line end left out. */
export type Line = { readonly number: number } & ({ readonly text: string } | { readonly fault: LineFault });

export interface LineOptions {
  /** Longest line in bytes, line end left out. Default 1 MiB. No more than this and one chunk is ever held. */
  readonly maxLineBytes?: number | undefined;
}
export const defaultMaxLineBytes = 2 ** 20;

const lineFeed = 10;
const carriageReturn = 13;
const byteOrderMark = [0xef, 0xbb, 0xbf];

/**
 * Cuts a stream of UTF-8 bytes into lines ended by LF or CRLF. A byte-order mark at the start is dropped; the last line may lack its end.
 * Constant memory: the rest of a line that is too long is skipped, and the lines after it are read.
 */
export class LineSplitter {
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  private readonly maxLineBytes: number;
  private held: Uint8Array[] = [];
  private heldBytes = 0;
  private skipping = false;
  private number = 0;

  constructor({ maxLineBytes = defaultMaxLineBytes }: LineOptions = {}) {
    this.maxLineBytes = maxLineBytes;
  }

  /** Lines that this chunk completes. The chunk may be reused by the caller after the last of them was taken. */
  *push(chunk: Uint8Array): Generator<Line> {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      yield this.finish(chunk.subarray(from, end));
      from = end + 1;
    }
    this.hold(chunk.subarray(from));
  }

  /** The last line, if it has no line end. */
  *end(): Generator<Line> {
    if (this.heldBytes > 0 || this.skipping) yield this.finish(new Uint8Array());
  }

  private hold(part: Uint8Array): void {
    if (part.length === 0 || this.skipping) return;
    // One more for the CR of a CRLF, three for the byte-order mark.
    if (this.heldBytes + part.length > this.maxLineBytes + 4) {
      this.skipping = true;
      this.held = [];
      this.heldBytes = 0;
      return;
    }
    this.held.push(part.slice());
    this.heldBytes += part.length;
    // Many one-byte chunks would cost far more than their bytes.
    if (this.held.length >= 256) this.held = [joined(this.held, this.heldBytes)];
  }

  private finish(last: Uint8Array): Line {
    const number = ++this.number;
    this.hold(last);
    const skipped = this.skipping;
    let bytes = skipped ? last : joined(this.held, this.heldBytes);
    this.held = [];
    this.heldBytes = 0;
    this.skipping = false;
    if (number === 1 && byteOrderMark.every((byte, i) => bytes[i] === byte)) bytes = bytes.subarray(3);
    if (bytes[bytes.length - 1] === carriageReturn) bytes = bytes.subarray(0, -1);
    if (skipped || bytes.length > this.maxLineBytes) {
      return { number, fault: fault('line_too_long', '', `is longer than ${this.maxLineBytes} bytes`) };
    }
    const zero = bytes.indexOf(0);
    try {
      if (zero < 0) return { number, text: this.decoder.decode(bytes) };
      return { number, fault: fault('nul', '', `holds a NUL byte at byte ${zero + 1}${number === 1 ? utf16Hint : ''}`) };
    } catch {
      return { number, fault: fault('invalid_utf8', '', `is not UTF-8${number === 1 ? utf16Hint : ''}`) };
    }
  }
}

const utf16Hint = '; save the file as UTF-8';

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0] as Uint8Array;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Lines of a whole stream, in order. Rejects only when the stream does. */
export async function* readLines(source: AsyncIterable<Uint8Array>, options?: LineOptions): AsyncGenerator<Line> {
  const splitter = new LineSplitter(options);
  for await (const chunk of source) yield* splitter.push(chunk);
  yield* splitter.end();
}
