/**
 * Logits of a tuned classifier as the engine computes them, one JSON line a batch, for e2e/peft-classifier-check.py:
 *
 *     node e2e/classifier-logits.mjs MODEL_DIR ADAPTER_DIR [text ...] > logits.jsonl
 *
 * MODEL_DIR is the packed base model; ADAPTER_DIR a downloaded adapter, of which only rows.safetensors and the classes in rowsmith.json are read.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readRows, rowsFileName } from '@rowsmith/adapter';
import { applyRows, openEngine } from '@rowsmith/engine';
import { loadPairTokenizer, openPackedModel } from '@rowsmith/hf';

const [modelDir, adapterDir, ...given] = process.argv.slice(2);
if (!modelDir || !adapterDir) {
  process.stderr.write('usage: node e2e/classifier-logits.mjs MODEL_DIR ADAPTER_DIR [text ...]\n');
  process.exit(2);
}
const texts = given.length > 0 ? given : ['a very good film', 'it was bad.', 'the real film is very very good, and it was not bad'];

const packed = await openPackedModel(modelDir);
const { classes } = JSON.parse(await readFile(join(adapterDir, 'rowsmith.json'), 'utf8'));
const delta = await readRows(join(adapterDir, rowsFileName), { baseSha256: packed.index.base_sha256 });
const engine = await openEngine();
const goesOn = JSON.stringify(packed.index.config.classes) === JSON.stringify(classes);
const model = await engine.loadClassifier(packed, { classes: goesOn ? undefined : classes.length });
applyRows(engine, model, delta);

const tokenizer = await loadPairTokenizer(modelDir, packed.index.config.max_position_embeddings);
const encoded = await tokenizer.encode([...texts.map((text) => ({ text, pair: null })), { text: texts[0], pair: texts.at(-1) }]);
const length = Math.max(...encoded.map(({ ids }) => ids.length));
const padded = (field) => Int32Array.from(encoded.flatMap((each) => Array.from({ length }, (_, t) => each[field][t] ?? 0)));
const counts = Int32Array.from(encoded, ({ ids }) => ids.length);
const batch = { size: encoded.length, length, ids: padded('ids'), labels: padded('ids').fill(-100) };
const logits = model.classLogits({ ...batch, sequences: { counts, types: padded('types'), classes: new Int32Array(encoded.length) } });
encoded.forEach(({ ids, types }, row) => {
  const own = Array.from(logits.subarray(row * classes.length, (row + 1) * classes.length));
  process.stdout.write(`${JSON.stringify({ ids: [...ids], types: [...types], logits: own })}\n`);
});
model.dispose();
