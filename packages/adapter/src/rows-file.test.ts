import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalJson, type RowDelta } from '@rowsmith/contracts';
import { encodeSafetensors, ModelError, type TensorToWrite } from '@rowsmith/hf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdapterError } from './errors.js';
import { encodeRows, readRows } from './rows-file.js';
import { baseSha256, down1, moduleRows, q0, sampleDelta } from './sample-delta.js';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'rowsmith-rows-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

async function read(bytes: Uint8Array): Promise<RowDelta> {
  const path = join(dir, 'rows.safetensors');
  writeFileSync(path, bytes);
  return readRows(path, { baseSha256 });
}

/** A valid file with some of it replaced; undefined takes a tensor out. */
function altered(tensors: Record<string, TensorToWrite | undefined>, metadata: Record<string, string> = {}): Uint8Array {
  const all = new Map<string, TensorToWrite>([
    [`${q0}.indices`, { shape: [2], data: Int32Array.of(1, 4) }],
    [`${q0}.delta`, { shape: [2, 3], data: new Float32Array(6) }],
  ]);
  for (const [name, tensor] of Object.entries(tensors)) tensor ? all.set(name, tensor) : all.delete(name);
  return encodeSafetensors(all, {
    format: 'rowsmith-rows/1',
    base_sha256: baseSha256,
    shapes: canonicalJson({ [q0]: [6, 3] }),
    ...metadata,
  });
}
const indices = (...rows: number[]): TensorToWrite => ({ shape: [rows.length], data: Int32Array.from(rows) });

describe('row-delta file', () => {
  it('gives back what was written, and writes equal bytes for equal rows in any order', async () => {
    const delta = sampleDelta();
    const bytes = encodeRows(delta, baseSha256);
    expect(await read(bytes)).toEqual(new Map([...delta].sort(([a], [b]) => (a < b ? -1 : 1))));
    expect(encodeRows(new Map([...delta].reverse()), baseSha256)).toEqual(bytes);
  });

  it('reads the file that the refusals below are made of', async () => {
    expect([...(await read(altered({}))).keys()]).toEqual([q0]);
  });

  const refused: Record<string, [Uint8Array, RegExp]> = {
    'a row twice': [altered({ [`${q0}.indices`]: indices(4, 4) }), /row 4 occurs twice/],
    'descending rows': [altered({ [`${q0}.indices`]: indices(4, 1) }), /row 1 follows row 4/],
    'a row beyond the matrix': [altered({ [`${q0}.indices`]: indices(1, 6) }), /row 6 is outside 0 to 5/],
    'a negative row': [altered({ [`${q0}.indices`]: indices(-1, 2) }), /row -1 is outside/],
    NaN: [altered({ [`${q0}.delta`]: { shape: [2, 3], data: Float32Array.of(0, 0, 0, 0, Number.NaN, 0) } }), /row 4, column 1 is NaN/],
    infinity: [
      altered({ [`${q0}.delta`]: { shape: [2, 3], data: Float32Array.of(0, -Infinity, 0, 0, 0, 0) } }),
      /row 1, column 1 is -Infinity/,
    ],
    'another width': [
      altered({ [`${q0}.delta`]: { shape: [2, 4], data: new Float32Array(8) } }),
      /F32 \[2,4\], which does not fit \[6, 3\]/,
    ],
    'more deltas than rows': [altered({ [`${q0}.delta`]: { shape: [3, 3], data: new Float32Array(9) } }), /\[3,3\], which does not fit/],
    'indices that are a matrix': [altered({ [`${q0}.indices`]: { shape: [1, 2], data: Int32Array.of(1, 4) } }), /I32 \[1,2\]/],
    'indices of floats': [altered({ [`${q0}.indices`]: { shape: [2], data: Float32Array.of(1, 4) } }), /F32 \[2\]/],
    'no rows': [
      altered({ [`${q0}.indices`]: indices(), [`${q0}.delta`]: { shape: [0, 3], data: new Float32Array(0) } }),
      /0 rows of a matrix that has 6/,
    ],
    'a missing tensor': [altered({ [`${q0}.delta`]: undefined }), /lacks .*\.delta/],
    'a tensor too many': [altered({ extra: indices(1) }), /3 tensors for 1 modules/],
    'another base': [altered({}, { base_sha256: 'c'.repeat(64) }), /belongs to the base model c{64}, this one is b{64}/],
    'another format': [altered({}, { format: 'pt' }), /is not a rowsmith-rows\/1 file/],
    'shapes that are no JSON': [altered({}, { shapes: '{' }), /shapes cannot be read/],
    'impossible shapes': [altered({}, { shapes: canonicalJson({ [q0]: [-6, 3] }) }), /-6 out features are impossible/],
    'a name that is no module': [
      encodeSafetensors(
        new Map([
          ['../x.indices', indices(0)],
          ['../x.delta', { shape: [1, 1], data: new Float32Array(1) }],
        ]),
        {
          format: 'rowsmith-rows/1',
          base_sha256: baseSha256,
          shapes: canonicalJson({ '../x': [1, 1] }),
        },
      ),
      /not the name of a module/,
    ],
    'no modules': [encodeSafetensors(new Map(), { format: 'rowsmith-rows/1', base_sha256: baseSha256, shapes: '{}' }), /holds no module/],
  };
  for (const [what, [bytes, message]] of Object.entries(refused)) {
    it(`refuses ${what} by name`, async () => {
      await expect(read(bytes)).rejects.toThrow(message);
      await expect(read(bytes)).rejects.toBeInstanceOf(AdapterError);
    });
  }

  it('refuses a file cut short', async () => {
    await expect(read(altered({}).subarray(0, 100))).rejects.toBeInstanceOf(ModelError);
  });

  it('never writes what it would not read', () => {
    expect(() => encodeRows(new Map([[down1, moduleRows(4, 2, [3, 1], 1)]]), baseSha256)).toThrow(/indices must ascend/);
  });
});
