/** Small row-deltas for this room's tests: two shapes, other ranks, values that f32 holds exactly. */
import type { ModuleRows, RowDelta } from '@rowsmith/contracts';

export function moduleRows(outFeatures: number, inFeatures: number, rows: readonly number[], seed: number): ModuleRows {
  const delta = Float32Array.from({ length: rows.length * inFeatures }, (_, i) => Math.sin(seed + i) / 3);
  return { indices: Int32Array.from(rows), delta, outFeatures, inFeatures };
}

export const q0 = 'model.layers.0.self_attn.q_proj';
export const down1 = 'model.layers.1.mlp.down_proj';

export const sampleDelta = (): RowDelta =>
  new Map([
    [q0, moduleRows(6, 4, [0, 3, 5], 1)],
    [down1, moduleRows(4, 7, [2], 2)],
  ]);
export const baseSha256 = 'b'.repeat(64);
