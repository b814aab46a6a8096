import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeSafetensors, openSafetensors, type TensorToWrite } from '@rowsmith/hf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportPeft, type PeftExport } from './peft-export.js';
import { baseSha256, down1, moduleRows, q0, sampleDelta } from './sample-delta.js';
import { type VerifyInput, verifyPeftExport } from './verify-export.js';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'rowsmith-peft-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const options = { baseModel: 'org/base: "x"', revision: null, baseSha256, modelLayers: 2 };
const configPath = () => join(dir, 'adapter_config.json');
const weightsPath = () => join(dir, 'adapter_model.safetensors');
const text = (made: PeftExport, name: string) => Buffer.from(made.files.get(name) as Uint8Array).toString('utf8');

function write(made: PeftExport): void {
  for (const [name, bytes] of made.files) writeFileSync(join(dir, name), bytes);
}
/** Base and tuned rows as a trainer would hold them: tuned = f32(base + D). */
function input(): VerifyInput {
  const delta = sampleDelta();
  const base = new Map(Array.from(delta, ([name, { delta: d }]) => [name, d.map((_, i) => Math.cos(3 * i))]));
  const tuned = new Map(
    Array.from(delta, ([name, { delta: d }]) => [name, d.map((v, i) => Math.fround((base.get(name)?.[i] as number) + v))]),
  );
  return {
    configPath: configPath(),
    weightsPath: weightsPath(),
    delta,
    baseRows: async (name) => base.get(name) as Float32Array,
    tunedRows: tuned,
  };
}
async function alter(change: (tensors: Map<string, TensorToWrite>) => void): Promise<void> {
  write(exportPeft(sampleDelta(), options));
  const file = await openSafetensors(weightsPath());
  const tensors = new Map<string, TensorToWrite>();
  for (const [name, { shape }] of file.tensors) tensors.set(name, { shape, data: await file.readF32(name) });
  await file.close();
  change(tensors);
  writeFileSync(weightsPath(), encodeSafetensors(tensors, { format: 'pt' }));
}
const floats = (tensors: ReadonlyMap<string, TensorToWrite>, name: string) => (tensors.get(name) as TensorToWrite).data as Float32Array;
const a = (module: string) => `base_model.model.${module}.lora_A.weight`;
const b = (module: string) => `base_model.model.${module}.lora_B.weight`;

describe('PEFT export', () => {
  it('says what base it was trained on where that was not f32, and is otherwise the same', () => {
    const plain = exportPeft(sampleDelta(), options);
    const quantised = exportPeft(sampleDelta(), { ...options, basePrecision: 'nf4_double' });
    expect(text(plain, 'README.md')).not.toContain('quantis');
    expect(text(quantised, 'README.md')).toContain('NF4 (4 bits, blocks of 64, their scales quantised too)');
    expect(text(quantised, 'README.md')).toContain('The update is relative to the float32 base.');
    for (const name of ['adapter_config.json', 'adapter_model.safetensors'])
      expect(quantised.files.get(name)).toEqual(plain.files.get(name));
  });

  it('is D and a one-hot, every module padded to one rank', async () => {
    const made = exportPeft(sampleDelta(), options);
    expect(made.rank).toBe(3);
    write(made);
    const file = await openSafetensors(weightsPath());
    const { delta } = sampleDelta().get(down1) as { delta: Float32Array };
    expect([...(await file.readF32(a(down1)))]).toEqual([...delta, ...new Array(14).fill(0)]);
    expect([...(await file.readF32(b(down1)))]).toEqual([0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    expect([...(await file.readF32(b(q0)))]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
    await file.close();
  });

  /** O12: with W [out, in], rows s and update D, X(W + scatter D)ᵀ = XWᵀ + scale·(XAᵀ)Bᵀ, here in f64 on the exported numbers. */
  it('computes what training the rows computes', async () => {
    write(exportPeft(sampleDelta(), options));
    const file = await openSafetensors(weightsPath());
    for (const [name, { indices, delta, outFeatures, inFeatures }] of sampleDelta()) {
      const [A, B] = [await file.readF32(a(name)), await file.readF32(b(name))];
      const w = Float32Array.from({ length: outFeatures * inFeatures }, (_, i) => Math.cos(i));
      const x = Float32Array.from({ length: inFeatures }, (_, i) => Math.sin(5 * i));
      const dot = (u: Float32Array, at: number) => x.reduce((sum, value, j) => sum + value * (u[at + j] as number), 0);
      const ax = [0, 1, 2].map((k) => dot(A, k * inFeatures));
      for (let row = 0; row < outFeatures; row++) {
        const k = indices.indexOf(row);
        const trained = dot(w, row * inFeatures) + (k < 0 ? 0 : dot(delta, k * inFeatures));
        const lora = dot(w, row * inFeatures) + ax.reduce((sum, value, c) => sum + value * (B[row * 3 + c] as number), 0);
        expect(lora).toBe(trained);
      }
    }
    await file.close();
  });

  it('is the same bytes for the same rows', () => {
    expect(exportPeft(new Map([...sampleDelta()].reverse()), options)).toEqual(exportPeft(sampleDelta(), options));
  });

  it('names short targets, layers only where some are left out, full names where targets differ by layer', () => {
    const targets = (modules: readonly string[], modelLayers: number) => {
      const delta = new Map(modules.map((name) => [name, moduleRows(2, 2, [1], 0)]));
      const { target_modules, layers_to_transform } = JSON.parse(
        text(exportPeft(delta, { ...options, modelLayers }), 'adapter_config.json'),
      );
      return [target_modules, layers_to_transform];
    };
    const of = (layer: number, target: string) => `model.layers.${layer}.mlp.${target}`;
    const both = [of(0, 'up_proj'), of(0, 'down_proj'), of(1, 'up_proj'), of(1, 'down_proj')];
    expect(targets(both, 2)).toEqual([['down_proj', 'up_proj'], undefined]);
    expect(targets(both, 3)).toEqual([
      ['down_proj', 'up_proj'],
      [0, 1],
    ]);
    expect(targets(both.slice(1), 2)).toEqual([[of(0, 'down_proj'), of(1, 'down_proj'), of(1, 'up_proj')], undefined]);
  });

  it('has alpha = r, and a README with the rank vLLM needs and a quoted base name', () => {
    const rows = Array.from({ length: 17 }, (_, i) => i);
    const made = exportPeft(new Map([[q0, moduleRows(40, 2, rows, 0)]]), options);
    expect(JSON.parse(text(made, 'adapter_config.json'))).toMatchObject({ r: 17, lora_alpha: 17, peft_type: 'LORA', bias: 'none' });
    const readme = text(made, 'README.md');
    expect(readme).toContain('--max-lora-rank 32');
    expect(readme.split('\n').slice(0, 4)).toEqual([
      '---',
      'base_model: "org/base: \\"x\\""',
      'library_name: peft',
      'pipeline_tag: text-generation',
    ]);
  });
});

describe('reading an export back', () => {
  it('finds no difference in what was written', async () => {
    write(exportPeft(sampleDelta(), options));
    expect(await verifyPeftExport(input())).toEqual({ max_abs_error: 0, modules: 2 });
  });

  it('finds one changed bit of A', async () => {
    await alter((tensors) => {
      const data = floats(tensors, a(q0));
      new DataView(data.buffer, data.byteOffset).setUint8(4 * 4 + 2, new DataView(data.buffer, data.byteOffset).getUint8(4 * 4 + 2) ^ 0x40);
    });
    await expect(verifyPeftExport(input())).rejects.toMatchObject({ code: 'export_differs' });
  });

  it('finds rows that the trainer holds otherwise', async () => {
    write(exportPeft(sampleDelta(), options));
    const honest = input();
    (honest.tunedRows.get(q0) as Float32Array)[0] = Number.NaN;
    await expect(verifyPeftExport(honest)).rejects.toMatchObject({ code: 'export_differs' });
  });

  it.each<[string, (tensors: Map<string, TensorToWrite>) => void, RegExp]>([
    ['a row that was not selected', (t) => floats(t, b(q0)).set([1, 0, 0, 1]), /uses column 0 twice/],
    ['another row', (t) => floats(t, b(down1)).set([0, 0, 0, 1, 0, 0, 0], 0), /names other rows/],
    ['a factor', (t) => floats(t, b(down1)).set([0.5], 6), /holds 0.5 in row 2/],
    ['two rows in one', (t) => floats(t, b(q0)).set([1, 1, 0]), /two ones in row 0/],
    ['another shape', (t) => t.set(a(q0), { shape: [4, 3], data: new Float32Array(12) }), /expected F32 \[3,4\]/],
    ['a missing tensor', (t) => t.delete(a(q0)), /is missing/],
    ['a tensor too many', (t) => t.set('x', { shape: [1], data: new Float32Array(1) }), /5 tensors for 2 modules/],
  ])('refuses %s in the files', async (_what, change, message) => {
    await alter(change);
    await expect(verifyPeftExport(input())).rejects.toThrow(message);
    await expect(verifyPeftExport(input())).rejects.toMatchObject({ code: 'bad_export' });
  });

  it('takes the scale from the configuration', async () => {
    const made = exportPeft(sampleDelta(), options);
    write(made);
    writeFileSync(configPath(), text(made, 'adapter_config.json').replace('"lora_alpha": 3', '"lora_alpha": 6'));
    await expect(verifyPeftExport(input())).rejects.toMatchObject({ code: 'export_differs' });
    writeFileSync(configPath(), text(made, 'adapter_config.json').replace('"use_rslora": false', '"use_rslora": true'));
    await expect(verifyPeftExport(input())).rejects.toMatchObject({ code: 'bad_export' });
  });
});
