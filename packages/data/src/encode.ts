import type { EncodedExample } from '@rowsmith/contracts';
import type { Tokenizer } from '@rowsmith/hf';
import { DataError } from './errors.js';
import { type Line, type LineOptions, readLines } from './lines.js';
import { countedTokens, labelSpans, truncate } from './mask.js';
import { type RowText, rowTexts, type TextOptions } from './row-texts.js';
import { hashOfText } from './seen-lines.js';
import { type FirstShape, type LineReading, readLine } from './validate.js';

export interface EncodeDatasetOptions extends TextOptions, LineOptions {
  readonly tokenizer: Tokenizer;
  /** Tokens; the left part of a longer example is kept. */
  readonly maxSeqLength: number;
  /** Ends plain texts, and is learnt there. */
  readonly eosId: number;
  /** Rows that cannot be encoded are left out and counted instead of thrown. Default false. */
  readonly skipInvalid?: boolean | undefined;
  /** Told of every example, dropped ones too: its tokens before truncation, and those that count after it. */
  readonly observe?: ((tokens: number, counted: number) => void) | undefined;
}

export interface DroppedRow {
  readonly line: number;
  readonly reason: string;
}
export interface EncodedDataset {
  /** In the order of the file. */
  readonly examples: readonly EncodedExample[];
  readonly counts: {
    /** Lines with data; a line gives one example, or more where its template asks for one an answer. */
    readonly rows: number;
    readonly examples: number;
    readonly truncated: number;
    /** Examples without a token to learn after truncation; they are not in `examples`. */
    readonly dropped: number;
    /** Rows left out because they cannot be encoded; only with `skipInvalid`. */
    readonly skipped: number;
    /** Of `examples`. */
    readonly tokens: number;
    /** Tokens of `examples` that are predicted and count in the loss. */
    readonly labelledTokens: number;
  };
  /** The first 1000. */
  readonly dropped: readonly DroppedRow[];
  /** The first 1000. */
  readonly skipped: readonly DroppedRow[];
  /** Hash of every row's line, for choices among rows. [rows] */
  readonly rowHashes: readonly number[];
  /** Row of every example, ascending. [examples] */
  readonly exampleRows: readonly number[];
}

/** Encoded at once: enough to keep the cores busy, little enough to hold: ids and offsets take several times the size of their text. */
const batchTexts = 256;
const batchUnits = 2 ** 20;

/**
 * Renders, encodes once and masks every row of a JSONL file. DataError names the first line that cannot be encoded (the validator has seen the
 * shapes before, the template and the tokenizer belong to the model); ModelError when the template itself is unusable.
 */
export async function encodeDataset(source: AsyncIterable<Uint8Array>, options: EncodeDatasetOptions): Promise<EncodedDataset> {
  const encoding = new Encoding(options);
  let waiting: RowText[] = [];
  let waitingUnits = 0;
  let first: FirstShape | null = null;
  for await (const line of readLines(source, options)) {
    const reading = readLine(line, first);
    if (reading === 'blank') continue;
    const { shape } = reading;
    const texts = textsOf(reading, line, options);
    if (texts instanceof DataError) {
      if (!options.skipInvalid) throw texts;
      encoding.skip(texts);
      continue;
    }
    if (shape !== null) first ??= { shape, line: line.number };
    encoding.row(line.number, 'text' in line ? line.text : '');
    for (const text of texts) {
      waiting.push(text);
      waitingUnits += text.text.length;
      if (waiting.length < batchTexts && waitingUnits < batchUnits) continue;
      await encoding.add(waiting);
      waiting = [];
      waitingUnits = 0;
    }
  }
  await encoding.add(waiting);
  return encoding.result();
}

/** What is to be encoded of a line, or why it cannot be. */
function textsOf({ row, faults }: Exclude<LineReading, 'blank'>, line: Line, options: TextOptions): readonly RowText[] | DataError {
  if (row === null) return new DataError('invalid_line', line.number, faults[0]?.message ?? 'cannot be read');
  try {
    return rowTexts(row, line.number, options);
  } catch (error) {
    if (error instanceof DataError) return error;
    throw error;
  }
}

class Encoding {
  private readonly examples: EncodedExample[] = [];
  private readonly dropped: DroppedRow[] = [];
  private readonly skipped: DroppedRow[] = [];
  private readonly rowHashes: number[] = [];
  private readonly rowsByLine = new Map<number, number>();
  private readonly exampleRows: number[] = [];
  private skippedCount = 0;
  private droppedCount = 0;
  private truncated = 0;
  private tokens = 0;
  private labelledTokens = 0;

  constructor(private readonly options: EncodeDatasetOptions) {}

  skip({ line, reason }: DataError): void {
    this.skippedCount++;
    if (this.skipped.length < 1000) this.skipped.push({ line, reason });
  }

  /** The row that the next texts come from. */
  row(line: number, text: string): void {
    // Of the rows that wait to be encoded.
    this.rowsByLine.set(line, this.rowHashes.length);
    this.rowHashes.push(hashOfText(text));
  }

  /** All of one file have the same shape, so one setting serves the batch. */
  async add(texts: readonly RowText[]): Promise<void> {
    const plain = texts[0]?.plain ?? false;
    const encoded = await this.options.tokenizer.encodeBatch(
      texts.map(({ text }) => text),
      { addSpecialTokens: plain },
    );
    for (const [i, { ids, offsets }] of encoded.entries()) {
      const { line, spans } = texts[i] as RowText;
      const whole = { ids, labels: labelSpans(ids, offsets, spans) };
      this.keep(line, plain ? this.ended(whole) : whole);
    }
    const last = texts.at(-1)?.line ?? 0;
    for (const line of this.rowsByLine.keys()) if (line < last) this.rowsByLine.delete(line);
  }

  /** Some tokenizers add eos themselves; it is learnt once in any case. */
  private ended({ ids, labels }: EncodedExample): EncodedExample {
    const { eosId } = this.options;
    const there = ids[ids.length - 1] === eosId;
    const length = ids.length + (there ? 0 : 1);
    const ended = { ids: new Int32Array(length), labels: new Int32Array(length) };
    ended.ids.set(ids);
    ended.labels.set(labels);
    ended.ids[length - 1] = eosId;
    ended.labels[length - 1] = eosId;
    return ended;
  }

  private keep(line: number, whole: EncodedExample): void {
    const { maxSeqLength } = this.options;
    const long = whole.ids.length > maxSeqLength;
    const example = long ? truncate(whole, maxSeqLength) : whole;
    if (long) this.truncated++;
    const counted = countedTokens(example);
    this.options.observe?.(whole.ids.length, counted);
    if (counted === 0) {
      this.droppedCount++;
      const reason = long
        ? `no token to learn is left of ${whole.ids.length} after cutting to ${maxSeqLength}; raise max_seq_length`
        : 'has no token to learn';
      if (this.dropped.length < 1000) this.dropped.push({ line, reason });
      return;
    }
    this.examples.push(example);
    this.exampleRows.push(this.rowsByLine.get(line) ?? 0);
    this.tokens += example.ids.length;
    this.labelledTokens += counted;
  }

  result(): EncodedDataset {
    const { examples, truncated, droppedCount: dropped, skippedCount, tokens, labelledTokens, rowHashes, exampleRows } = this;
    const counts = { rows: rowHashes.length, examples: examples.length, truncated, dropped, skipped: skippedCount, tokens, labelledTokens };
    return { examples, counts, dropped: this.dropped, skipped: this.skipped, rowHashes, exampleRows };
  }
}
