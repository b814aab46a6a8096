/**
 * Trains rows of a packed model for some steps and writes the losses seen, and all that an independent implementation needs to do the same.
 *   node bench/agreement/engine-losses.mjs <model folder> <output.json> [--option channels=in]... [--steps 50] [--batch 4] [--rows 16] [--length 128]
 * Data: the chat examples of examples/, answers only, padded (no packing: the peer pads). Needs `npm run build` and `npm run setup`.
 */
import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resolveJob } from '@rowsmith/core';
import { encodeDataset } from '@rowsmith/data';
import { openEngine, planRows, quantizationOf, train } from '@rowsmith/engine';
import { loadChatTemplate, loadTokenizer, openPackedModel } from '@rowsmith/hf';
import { commandLine } from '../../scripts/command-line.mjs';

const { positionals, values } = commandLine(import.meta.url, {
  names: ['<model folder>', '<output.json>'],
  options: {
    option: { type: 'string', multiple: true, default: [] },
    steps: { type: 'string', default: '50' },
    batch: { type: 'string', default: '4' },
    rows: { type: 'string', default: '16' },
    length: { type: 'string', default: '128' },
  },
});
const [folder, output] = positionals;

const packed = await openPackedModel(folder);
const { config } = packed.index;
const source = createReadStream(join(fileURLToPath(import.meta.url), '../../../examples/train.jsonl'));
const dataset = await encodeDataset(source, {
  tokenizer: await loadTokenizer(folder),
  template: await loadChatTemplate(folder),
  trainOn: 'assistant',
  maxSeqLength: Number(values.length),
  eosId: config.eos_token_ids[0],
});
const options = Object.fromEntries(values.option.map((pair) => pair.split('=')).map(([key, value]) => [key, value]));
const resolved = resolveJob(
  {
    model: packed.index.id,
    training_file: 'file-none',
    hyperparameters: { n_epochs: 50, batch_size: Number(values.batch) },
    row_sparse: {
      rows: Number(values.rows),
      max_steps: Number(values.steps),
      max_seq_length: Number(values.length),
      lr_schedule: 'linear',
      packing: false,
      ...options,
    },
  },
  {
    trainingExamples: dataset.examples.length,
    validationExamples: null,
    model: { layers: config.n_layers, maxPositions: config.max_position_embeddings, rowsOf: {} },
    randomSeed: 1,
  },
);
if ('fault' in resolved) throw new Error(`${resolved.fault.param}: ${resolved.fault.message}`);
const { hyperparameters, rowSparse, seed } = resolved;

const engine = await openEngine();
const model = await engine.loadModel(packed, { quantization: quantizationOf(rowSparse) });
const plan = planRows(engine, model, rowSparse, seed);
const batches = [];
/** The loop orders and collates; the peer is given the same batches. */
const recording = new Proxy(model, {
  get(target, name) {
    const value = Reflect.get(target, name, target);
    if (name !== 'lossAndGrads') return typeof value === 'function' ? value.bind(target) : value;
    return (batch, ...rest) => {
      batches.push({ size: batch.size, length: batch.length, ids: [...batch.ids], labels: [...batch.labels] });
      return target.lossAndGrads(batch, ...rest);
    };
  },
});
const points = [];
const input = { engine, model: recording, plan, trainExamples: dataset.examples, validExamples: [], seed, hyperparameters, rowSparse };
for await (const event of train({ ...input, clock: () => performance.now() })) if (event.type === 'step') points.push(event.point);
writeFileSync(
  output,
  JSON.stringify({
    folder,
    rowSparse,
    modules: plan.modules.map(({ name, tensor, rowOffset, outFeatures, inFeatures, indices, columns }) => ({
      ...{ name, tensor, rowOffset, outFeatures, inFeatures },
      rows: [...indices],
      columns: [...(columns ?? [])],
    })),
    batches,
    losses: points.map(({ train_loss }) => train_loss),
    gradientNorms: points.map(({ grad_norm }) => grad_norm),
    learningRates: points.map(({ learning_rate }) => learning_rate),
  }),
);
console.log(`${points.length} steps, loss ${points[0].train_loss.toFixed(4)} to ${points.at(-1).train_loss.toFixed(4)}`);
