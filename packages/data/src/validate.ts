import { fault, type LineFault } from './errors.js';
import { parseJson } from './json-text.js';
import { type Line, type LineOptions, LineSplitter } from './lines.js';
import { type Row, type RowShape, readRow } from './rows.js';
import { SeenLines } from './seen-lines.js';

export interface ValidationOptions extends LineOptions {
  /** Nesting of objects and lists. Default 32. */
  readonly maxDepth?: number | undefined;
  /** Faults that are kept; all are counted. Default 1000. */
  readonly maxErrors?: number | undefined;
  /** Default 5 million. The lines after that many examples are counted as bad. */
  readonly maxExamples?: number | undefined;
}

export interface LineError extends LineFault {
  /** From 1. */
  readonly line: number;
}
export interface ValidationReport {
  /** Of the first line that has one; null when none has. */
  readonly shape: RowShape | null;
  /** That line, from 1; null when there is none. */
  readonly shapeLine: number | null;
  /** Lines that can be trained on. */
  readonly examples: number;
  readonly bytes: number;
  /** Lines seen, blank and bad ones included. */
  readonly lines: number;
  /** In the order of the file, the first `maxErrors`. */
  readonly errors: readonly LineError[];
  /** Of a line with very many faults about the first hundred. */
  readonly errorCount: number;
  readonly badLines: number;
  readonly blankLines: number;
  /** Lines that can be trained on and say the same as one before, byte for byte. */
  readonly duplicates: number;
  readonly warnings: readonly string[];
}

/**
 * Reads a JSONL file to its end and reports every fault of every line. Rejects only when the stream does. Memory does not grow with the
 * file: one line, one chunk and the kept faults.
 */
export async function validateJsonl(source: AsyncIterable<Uint8Array>, options: ValidationOptions = {}): Promise<ValidationReport> {
  const splitter = new LineSplitter(options);
  const tally = new Tally(options);
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    for (const line of splitter.push(chunk)) tally.add(line);
  }
  for (const line of splitter.end()) tally.add(line);
  return tally.report(bytes);
}

/** The row of a line, its faults, or 'blank'. `first`: the shape that the file began with. */
export function readLine(line: Line, first: FirstShape | null, maxDepth = 32): LineReading {
  if ('fault' in line) return { shape: null, row: null, faults: [line.fault] };
  if (/^[ \t\r]*$/.test(line.text)) return 'blank';
  const parsed = parseJson(line.text, maxDepth);
  if ('fault' in parsed) return { shape: null, row: null, faults: [parsed.fault] };
  const reading = readRow(parsed.value);
  if (first === null || reading.shape === null || reading.shape === first.shape) return reading;
  const reason = `is ${shapeWords[reading.shape]}, but the file began with ${shapeWords[first.shape]} (line ${first.line}); a file has one shape`;
  return { shape: reading.shape, row: null, faults: [fault('mixed_shapes', '', reason), ...reading.faults] };
}
export type LineReading = 'blank' | { readonly shape: RowShape | null; readonly row: Row | null; readonly faults: readonly LineFault[] };
export interface FirstShape {
  readonly shape: RowShape;
  readonly line: number;
}

const shapeWords: Readonly<Record<RowShape, string>> = {
  chat: 'a chat row ("messages")',
  prompt_completion: 'a "prompt" and "completion" row',
  text: 'a "text" row',
  sharegpt: 'a ShareGPT row ("conversations")',
  alpaca: 'an Alpaca row ("instruction")',
  classification: 'a row with a "label"',
};

class Tally {
  private readonly errors: LineError[] = [];
  private errorCount = 0;
  private badLines = 0;
  private lines = 0;
  private blanks = 0;
  private examples = 0;
  private first: FirstShape | null = null;
  private readonly seen = new SeenLines();

  constructor(private readonly options: ValidationOptions) {}

  add(line: Line): void {
    this.lines = line.number;
    const reading = readLine(line, this.first, this.options.maxDepth);
    if (reading === 'blank') {
      this.blanks++;
      return;
    }
    const { shape, faults } = reading;
    if (shape !== null) this.first ??= { shape, line: line.number };
    const most = this.options.maxExamples ?? 5_000_000;
    if (faults.length > 0) this.refuse(line.number, faults);
    else if (this.examples === most)
      this.refuse(line.number, [fault('too_many_examples', '', `the file holds more than ${most} examples`)]);
    else {
      this.examples++;
      if ('text' in line) this.seen.add(line.text);
    }
  }

  report(bytes: number): ValidationReport {
    const { lines, blanks } = this;
    if (lines === blanks) {
      this.refuse(1, [fault('empty_file', '', bytes === 0 ? 'the file is empty' : 'the file holds no examples, only blank lines')]);
    }
    const { errors, errorCount, badLines, examples, seen } = this;
    const { duplicates } = seen;
    const warnings = blanks > 0 && blanks < lines ? [`${blanks} blank line${blanks === 1 ? ' was' : 's were'} skipped`] : [];
    if (!seen.complete) warnings.push('duplicates were looked for among the first lines only; there may be more');
    const shape = this.first?.shape ?? null;
    return {
      shape,
      shapeLine: this.first?.line ?? null,
      examples,
      bytes,
      lines,
      errors,
      errorCount,
      badLines,
      blankLines: blanks,
      duplicates,
      warnings,
    };
  }

  private refuse(line: number, faults: readonly LineFault[]): void {
    this.badLines++;
    this.errorCount += faults.length;
    const room = (this.options.maxErrors ?? 1000) - this.errors.length;
    for (const one of faults.slice(0, Math.max(0, room))) this.errors.push({ line, ...one });
  }
}
