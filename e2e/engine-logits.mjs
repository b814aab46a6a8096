// Logits of the engine for `peft-check.py`: of the base, and with a row-delta applied.
// node e2e/engine-logits.mjs <folder of the packed model> <rows.safetensors> <JSON list of token ids> <output: two [T, V] f32 matrices, base then tuned>
import { writeFile } from 'node:fs/promises';
import { readRows } from '@rowsmith/adapter';
import { applyRows, openEngine } from '@rowsmith/engine';
import { openPackedModel } from '@rowsmith/hf';

const [modelDir, rowsPath, idsJson, output] = process.argv.slice(2);
if (output === undefined) {
  process.stderr.write('usage: node e2e/engine-logits.mjs <packed model> <rows.safetensors> <ids as JSON> <output>\n');
  process.exit(2);
}
const ids = Int32Array.from(JSON.parse(idsJson));
const packed = await openPackedModel(modelDir);
const delta = await readRows(rowsPath, { baseSha256: packed.index.base_sha256 });
const engine = await openEngine();
const model = await engine.loadModel(packed);
const base = model.logits(ids);
applyRows(engine, model, delta);
const tuned = model.logits(ids);
await writeFile(output, Buffer.concat([base, tuned].map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength))));
process.exit(0);
