/** Rows of a classifier: texts, or pairs of them, with the class of each. */
import type { EncodedExample } from '@rowsmith/contracts';
import type { PairTokenizer, TextPair } from '@rowsmith/hf';
import type { EncodedDataset } from './encode.js';
import { DataError, quoted } from './errors.js';
import { type LineOptions, readLines } from './lines.js';
import type { ClassificationRow } from './rows.js';
import { hashOfText } from './seen-lines.js';
import { type FirstShape, readLine } from './validate.js';

export interface EncodeClassifiedOptions extends LineOptions {
  readonly tokenizer: PairTokenizer;
  /** A row's class is its label's place here. */
  readonly classes: readonly string[];
  /** Rows that cannot be read are left out and counted instead of thrown. Default false. */
  readonly skipInvalid?: boolean | undefined;
}

interface ReadRow {
  readonly line: number;
  readonly text: string;
  readonly row: ClassificationRow;
}

/** Every row of a file, or why it cannot be used. */
async function* rowsOf(source: AsyncIterable<Uint8Array>, options: LineOptions): AsyncGenerator<ReadRow | DataError, void, void> {
  let first: FirstShape | null = null;
  for await (const line of readLines(source, options)) {
    const reading = readLine(line, first);
    if (reading === 'blank') continue;
    if (reading.shape !== null) first ??= { shape: reading.shape, line: line.number };
    const { row, faults } = reading;
    if (row === null) yield new DataError('invalid_line', line.number, faults[0]?.message ?? 'cannot be read');
    else if (row.shape !== 'classification')
      yield new DataError('wrong_task', line.number, 'an encoder learns classes: rows must have "text" (with "text_pair") and "label"');
    else yield { line: line.number, text: 'text' in line ? line.text : '', row };
  }
}

/** Labels that occur in a file; rows that cannot be read have none. */
export async function labelsOf(source: AsyncIterable<Uint8Array>, options: LineOptions = {}): Promise<ReadonlySet<string>> {
  const labels = new Set<string>();
  for await (const row of rowsOf(source, options)) if (!(row instanceof DataError)) labels.add(row.row.label);
  return labels;
}

/** Classes in order: by number where all labels are integers, else by code units. */
export function classesOf(labels: Iterable<string>): readonly string[] {
  const all = [...new Set(labels)];
  const integers = all.every((label) => /^-?\d{1,15}$/.test(label));
  return all.sort((a, b) => (integers ? Number(a) - Number(b) : 0) || (a < b ? -1 : 1));
}

/** Rows encoded at once: enough to keep the cores busy. */
const batchRows = 256;

/** Reads and encodes every row. DataError names the first line that cannot be used: `unknown_label` for a label that is no class. */
export async function encodeClassified(source: AsyncIterable<Uint8Array>, options: EncodeClassifiedOptions): Promise<EncodedDataset> {
  const { tokenizer, classes, skipInvalid } = options;
  const places = new Map(classes.map((name, place) => [name, place]));
  const examples: EncodedExample[] = [];
  const rowHashes: number[] = [];
  const skipped: { line: number; reason: string }[] = [];
  let [skippedCount, truncated, tokens] = [0, 0, 0];
  let waiting: { pair: TextPair; label: number }[] = [];
  const encode = async () => {
    const encoded = await tokenizer.encode(waiting.map(({ pair }) => pair));
    for (const [i, { ids, types, truncated: cut }] of encoded.entries()) {
      examples.push({ ids, types, labels: new Int32Array(ids.length).fill(-100), label: waiting[i]?.label as number });
      if (cut) truncated++;
      tokens += ids.length;
    }
    waiting = [];
  };
  for await (const read of rowsOf(source, options)) {
    const fault = read instanceof DataError ? read : labelFault(read, places);
    if (fault) {
      if (!skipInvalid) throw fault;
      skippedCount++;
      if (skipped.length < 1000) skipped.push({ line: fault.line, reason: fault.reason });
      continue;
    }
    const { row, text } = read as ReadRow;
    rowHashes.push(hashOfText(text));
    waiting.push({ pair: { text: row.text, pair: row.textPair }, label: places.get(row.label) as number });
    if (waiting.length === batchRows) await encode();
  }
  await encode();
  const count = examples.length;
  const counts = { rows: count, examples: count, truncated, dropped: 0, skipped: skippedCount, tokens, labelledTokens: count };
  return { examples, counts, dropped: [], skipped, rowHashes, exampleRows: examples.map((_, i) => i) };
}

function labelFault({ line, row }: ReadRow, places: ReadonlyMap<string, number>): DataError | null {
  if (places.has(row.label)) return null;
  const known = [...places.keys()].slice(0, 10).map(quoted).join(', ');
  return new DataError(
    'unknown_label',
    line,
    `the label ${quoted(row.label)} is none of the ${places.size} classes (${known}${places.size > 10 ? ', ...' : ''})`,
  );
}
