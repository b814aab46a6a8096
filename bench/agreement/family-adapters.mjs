/**
 * Does PEFT compute with an adapter of each family what the engine computes with the rows it trained? The tiny models of packages/engine/fixtures/families are imported,
 * trained for a few steps, exported, and loaded by transformers and PEFT (e2e/peft-check.py).
 *   node bench/agreement/family-adapters.mjs --python <interpreter with torch, transformers, peft> [--only phi3] [--channels out|both|...]
 * Prints a table; ends with 1 when a family disagrees. Needs `npm run build` and `npm run setup`.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeRows, exportPeft, rowsFileName } from '@rowsmith/adapter';
import { resolveJob } from '@rowsmith/core';
import { openEngine, planRows, rowTensors, train } from '@rowsmith/engine';
import { addImported, importFolder, openPackedModel } from '@rowsmith/hf';
import { placementsOf } from '../../apps/trainer/dist/fused-modules.js';
import { commandLine } from '../../scripts/command-line.mjs';

const { values, wrongUse } = commandLine(import.meta.url, {
  options: { python: { type: 'string' }, only: { type: 'string' }, channels: { type: 'string', default: 'out' } },
});
if (!values.python) wrongUse('--python is missing');
const root = fileURLToPath(new URL('../../', import.meta.url));
const families = join(root, 'packages', 'engine', 'fixtures', 'families');
const work = mkdtempSync(join(tmpdir(), 'rowsmith-families-'));
const engine = await openEngine();
let failed = false;

console.log('| family | largest logit | adapter beside | merged | merged weights | changed by the adapter |');
console.log('| --- | --- | --- | --- | --- | --- |');
try {
  for (const family of readdirSync(families).sort()) {
    if (values.only && values.only !== family) continue;
    const base = join(families, family);
    const { dir } = await addImported(await importFolder(base), { store: join(work, 'models'), id: family, now: () => 0 });
    const { out, largest } = await trained(await openPackedModel(dir), family);
    const check = [join(root, 'e2e', 'peft-check.py'), base, out, join(out, 'logits.jsonl'), '--tolerance', '1e-4'];
    try {
      const result = JSON.parse(execFileSync(values.python, check, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }));
      const parts = ['max_abs_difference', 'max_abs_difference_merged', 'max_abs_weight_error_merged', 'max_abs_change_by_the_adapter'];
      console.log(`| ${[family, largest.toFixed(1), ...parts.map((part) => result[part].toPrecision(2))].join(' | ')} |`);
    } catch (error) {
      failed = true;
      console.log(
        `| ${family} | ${String(error.stderr ?? error)
          .trim()
          .split('\n')
          .at(-1)} |`,
      );
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;

/** An adapter of a few steps in a folder of its own, with the tuned model's logits of three sequences beside it. */
async function trained(packed, family) {
  const { config } = packed.index;
  const ids = (seed, length) => Int32Array.from({ length }, (_, i) => 3 + ((i * 37 + seed * 101) % (config.vocab_size - 3)));
  const examples = [0, 1, 2, 3].map((seed) => ({ ids: ids(seed, 20), labels: ids(seed, 20) }));
  const resolved = resolveJob(
    {
      ...{ model: family, training_file: 'file-none', hyperparameters: { n_epochs: 3, batch_size: 2 } },
      row_sparse: { rows: 3, learning_rate: 0.05, channels: values.channels, max_seq_length: 20 },
    },
    {
      ...{ trainingExamples: examples.length, validationExamples: null, randomSeed: 1 },
      model: { layers: config.n_layers, maxPositions: config.max_position_embeddings, rowsOf: {} },
    },
  );
  if ('fault' in resolved) throw new Error(`${resolved.fault.param}: ${resolved.fault.message}`);
  const { hyperparameters, rowSparse, seed } = resolved;
  const model = await engine.loadModel(packed, { rowTensors: rowTensors(config, rowSparse) });
  const plan = planRows(engine, model, rowSparse, seed);
  const out = join(work, family);
  mkdirSync(out);
  let largest = 0;
  const input = { engine, model, plan, trainExamples: examples, validExamples: [], seed, hyperparameters, rowSparse };
  for await (const event of train({ ...input, clock: () => performance.now() })) {
    if (event.type !== 'done') continue;
    const made = exportPeft(event.delta, {
      ...{ baseModel: family, revision: null, baseSha256: packed.index.base_sha256, modelLayers: config.n_layers },
      placements: placementsOf(packed.index, model.linears),
    });
    for (const [name, bytes] of made.files) writeFileSync(join(out, name), bytes);
    writeFileSync(join(out, rowsFileName), encodeRows(event.delta, packed.index.base_sha256));
    // While the event is handled the model is the tuned one.
    const cases = [0, 1, 2].map((n) => {
      const prompt = ids(n + 7, 15 + 9 * n);
      const all = model.logits(prompt);
      for (const value of all) largest = Math.max(largest, Math.abs(value));
      const rows = Array.from(prompt, (_, t) => Array.from(all.subarray(t * config.vocab_size, (t + 1) * config.vocab_size)));
      return JSON.stringify({ ids: [...prompt], logits: rows });
    });
    writeFileSync(join(out, 'logits.jsonl'), `${cases.join('\n')}\n`);
  }
  model.dispose();
  return { out, largest };
}
