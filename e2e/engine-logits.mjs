/**
 * Logits of the tuned model as the engine computes them, one JSON line per prompt, for e2e/peft-check.py:
 *
 *     node e2e/engine-logits.mjs MODEL_DIR ADAPTER_DIR [prompt ...] > logits.jsonl
 *
 * MODEL_DIR is the packed base model; ADAPTER_DIR a downloaded adapter, of which only rows.safetensors is read: the export is what is to be checked.
 */

import { once } from 'node:events';
import { join } from 'node:path';
import { readRows, rowsFileName } from '@rowsmith/adapter';
import { applyRows, openEngine } from '@rowsmith/engine';
import { loadChatTemplate, loadTokenizer, openPackedModel } from '@rowsmith/hf';

const [modelDir, adapterDir, ...given] = process.argv.slice(2);
if (!modelDir || !adapterDir) {
  process.stderr.write('usage: node e2e/engine-logits.mjs MODEL_DIR ADAPTER_DIR [prompt ...]\n');
  process.exit(2);
}
const prompts = given.length > 0 ? given : ['Hi, I need one shutter in ash, 130x55, no finish.', 'What is the capital of France?'];

const packed = await openPackedModel(modelDir);
const delta = await readRows(join(adapterDir, rowsFileName), { baseSha256: packed.index.base_sha256 });
const engine = await openEngine();
const model = await engine.loadModel(packed);
applyRows(engine, model, delta);

const [tokenizer, template] = await Promise.all([loadTokenizer(modelDir), loadChatTemplate(modelDir)]);
const vocabulary = model.config.vocab_size;
for (const prompt of prompts) {
  const text = template.render([{ role: 'user', content: prompt }], { addGenerationPrompt: true });
  const { ids } = await tokenizer.encode(text, { addSpecialTokens: false });
  const all = model.logits(ids);
  const logits = Array.from(ids, (_, t) => Array.from(all.subarray(t * vocabulary, (t + 1) * vocabulary)));
  if (!process.stdout.write(`${JSON.stringify({ ids: [...ids], logits })}\n`)) await once(process.stdout, 'drain');
}
model.dispose();
