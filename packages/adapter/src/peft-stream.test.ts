/** Made module by module from a file, the export has the bytes that it has when it is made at once from memory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelConfig, ModuleRows, RowDelta } from '@rowsmith/contracts';
import { openSafetensors, type SafetensorsFile } from '@rowsmith/hf';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { fusedPlacements } from './fused-modules.js';
import { exportPeft } from './peft-export.js';
import { type PeftStreamOptions, streamPeft } from './peft-stream.js';
import { encodeRows, openRows } from './rows-file.js';
import { baseSha256, moduleRows, sampleDelta } from './sample-delta.js';

let dir = '';
const open: SafetensorsFile[] = [];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'rowsmith-stream-'));
});
afterEach(async () => {
  for (const file of open.splice(0)) await file.close();
});
afterAll(() => rmSync(dir, { recursive: true }));

const options: PeftStreamOptions = { baseModel: 'org/base', revision: 'abc', baseSha256, modelLayers: 2 };
async function rowsFileOf(delta: RowDelta) {
  const path = join(dir, 'rows.safetensors');
  writeFileSync(path, encodeRows(delta, baseSha256));
  const file = await openSafetensors(path);
  open.push(file);
  return openRows(file, { baseSha256 });
}
async function streamed(delta: RowDelta, more: Partial<PeftStreamOptions> = {}): Promise<Map<string, Buffer>> {
  const { small, weights } = await streamPeft(await rowsFileOf(delta), { ...options, ...more });
  const parts: Uint8Array[] = [];
  for await (const part of weights.read()) parts.push(Buffer.from(part));
  const bytes = Buffer.concat(parts);
  expect(bytes.length).toBe(weights.bytes);
  return new Map([...small, [weights.name, bytes] as const].map(([name, content]) => [name, Buffer.from(content)]));
}
function atOnce(delta: RowDelta, more: Partial<PeftStreamOptions> = {}): Map<string, Buffer> {
  const { files } = exportPeft(delta, { ...options, ...more });
  return new Map(Array.from(files, ([name, content]) => [name, Buffer.from(content)]));
}
const sorted = (files: Map<string, Buffer>) => [...files].sort(([a], [b]) => (a < b ? -1 : 1));

const of = (layer: number, target: string) => `model.layers.${layer}.${/^(q|k|v|o)_/.test(target) ? 'self_attn' : 'mlp'}.${target}`;
const withColumns = (rows: ModuleRows, columns: readonly number[], seed: number): ModuleRows => ({
  ...rows,
  columns: Int32Array.from(columns),
  columnDelta: Float32Array.from({ length: columns.length * rows.outFeatures }, (_, i) => Math.cos(seed + i)),
});
/** 2 heads, 1 of keys and values, 2 dimensions each: q has 4 rows, k and v have 2; the feed-forward has 6. */
const phi3 = { family: 'phi3', n_heads: 2, n_kv_heads: 1, head_dim: 2, hidden_size: 4, intermediate_size: 6 } as ModelConfig;
/** In the trainer's order: q before k, which a file sorted by names turns round. */
const fusedDelta = (): RowDelta =>
  new Map([
    [of(0, 'q_proj'), withColumns(moduleRows(4, 4, [0, 3], 1), [1, 2], 5)],
    [of(0, 'k_proj'), moduleRows(2, 4, [1], 2)],
    [of(0, 'v_proj'), withColumns(moduleRows(2, 4, [0], 3), [2, 3], 6)],
    [of(0, 'o_proj'), moduleRows(4, 4, [2], 4)],
    [of(0, 'up_proj'), moduleRows(6, 4, [5], 7)],
    [of(1, 'gate_proj'), moduleRows(6, 4, [0, 1], 8)],
    [of(1, 'up_proj'), moduleRows(6, 4, [2], 9)],
  ]);

it('rows', async () => {
  expect(sorted(await streamed(sampleDelta()))).toEqual(sorted(atOnce(sampleDelta())));
});

it('columns, alone and beside rows', async () => {
  const none = { ...moduleRows(5, 3, [], 0) };
  const delta = new Map([
    ...sampleDelta(),
    [of(0, 'up_proj'), withColumns(none, [0, 2], 1)],
    [of(1, 'q_proj'), withColumns(moduleRows(6, 4, [1], 2), [3], 3)],
  ]);
  expect(sorted(await streamed(delta))).toEqual(sorted(atOnce(delta)));
});

it('parts of fused modules, in the order in which they lie there', async () => {
  const placements = fusedPlacements(phi3, fusedDelta().keys());
  expect(placements.get(of(0, 'v_proj'))).toEqual({ module: 'model.layers.0.self_attn.qkv_proj', rowOffset: 6, outFeatures: 8 });
  expect(placements.get(of(1, 'up_proj'))).toEqual({ module: 'model.layers.1.mlp.gate_up_proj', rowOffset: 6, outFeatures: 12 });
  expect(placements.has(of(0, 'o_proj'))).toBe(false);
  const made = await streamed(fusedDelta(), { placements, basePrecision: 'nf4' });
  expect(sorted(made)).toEqual(sorted(atOnce(fusedDelta(), { placements, basePrecision: 'nf4' })));
  // Rows 2 + 1 + 1, columns {1, 2, 3}.
  expect(JSON.parse(String(made.get('adapter_config.json')))).toMatchObject({ r: 7 });
});

it('other families have no fused modules', () => {
  expect(fusedPlacements({ ...phi3, family: 'llama' } as ModelConfig, fusedDelta().keys()).size).toBe(0);
});

it('refuses trained biases: the base bias is not in the file', async () => {
  const delta = new Map([[of(0, 'q_proj'), { ...moduleRows(6, 4, [1], 0), biasDelta: Float32Array.of(1) }]]);
  await expect(streamPeft(await rowsFileOf(delta), options)).rejects.toMatchObject({ code: 'bad_rows' });
});
