/**
 * Between the engine's stacked buffers and per-module rows. In a checkpoint's state `delta.<width>` is [R, width]: the rows of all modules of that input
 * width, one module after the other in the order of `indices`.
 */
import type { CheckpointState, ModuleRows, RowDelta } from '@rowsmith/contracts';
import type { LinearInfo } from '@rowsmith/engine';
import { TrainerError } from './trainer-error.js';

const deltaName = (width: number) => `delta.${width}`;
export const isDelta = (buffer: string): boolean => buffer.startsWith('delta.');

/** The rows of a state by module. Views into its buffers, not copies. */
export function rowsOf({ indices, buffers }: CheckpointState, linears: readonly LinearInfo[]): RowDelta {
  const places = new Map(linears.map((linear) => [linear.name, linear]));
  const taken = new Map<number, number>();
  const rows = new Map<string, ModuleRows>();
  for (const [name, of] of indices) {
    const { inFeatures, outFeatures } = linearOf(places, name);
    const start = taken.get(inFeatures) ?? 0;
    const end = start + of.length * inFeatures;
    const stack = buffers.get(deltaName(inFeatures))?.data;
    if (!stack || stack.length < end) throw new RangeError(`the state's buffer ${deltaName(inFeatures)} ends before the rows of ${name}`);
    rows.set(name, { indices: of, delta: stack.subarray(start, end), outFeatures, inFeatures });
    taken.set(inFeatures, end);
  }
  return rows;
}

/** The engine's order of modules, and its delta buffers, from rows in any order. Throws TrainerError (infra) `checkpoint_mismatch`. */
export function stacksOf(rows: RowDelta, linears: readonly LinearInfo[]): Pick<CheckpointState, 'indices' | 'buffers'> {
  const places = new Map(linears.map((linear) => [linear.name, linear]));
  for (const [name, { inFeatures, outFeatures }] of rows) {
    const linear = linearOf(places, name);
    if (linear.inFeatures !== inFeatures || linear.outFeatures !== outFeatures)
      throw mismatch(`${name} is [${linear.outFeatures}, ${linear.inFeatures}] here, [${outFeatures}, ${inFeatures}] there`);
  }
  const ordered = linears.flatMap(({ name }) => {
    const module = rows.get(name);
    return module ? [[name, module] as const] : [];
  });
  const buffers = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const width of new Set(ordered.map(([, { inFeatures }]) => inFeatures))) {
    const parts = ordered.flatMap(([, { inFeatures, delta }]) => (inFeatures === width ? [delta] : []));
    const data = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      data.set(part, at);
      at += part.length;
    }
    buffers.set(deltaName(width), { shape: [data.length / width, width], data });
  }
  return { indices: new Map(ordered.map(([name, { indices }]) => [name, indices])), buffers };
}

function linearOf(places: ReadonlyMap<string, LinearInfo>, name: string): LinearInfo {
  const linear = places.get(name);
  if (!linear) throw mismatch(`the model has no linear called ${name}`);
  return linear;
}

const mismatch = (message: string) => new TrainerError('infra', 'checkpoint_mismatch', message);
