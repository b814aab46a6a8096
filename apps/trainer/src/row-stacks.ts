/**
 * Between the engine's stacked buffers and per-module rows. In a checkpoint's state `delta.<width>` is [R, width]: the trained parts of that width (rows
 * of a module: its input width; its columns, transposed: its output width), in the order of the model's linears, rows before columns.
 */
import type { CheckpointState, ModuleRows, RowDelta } from '@rowsmith/contracts';
import { type LinearInfo, partsOf, type TrainedPart } from '@rowsmith/engine';
import { TrainerError } from './trainer-error.js';

const deltaName = (width: number) => `delta.${width}`;
export const isDelta = (buffer: string): boolean => buffer.startsWith('delta.');

/** The rows and columns of a state by module. Views into its buffers, not copies. */
export function rowsOf({ indices, columns, biases, buffers }: CheckpointState, linears: readonly LinearInfo[]): RowDelta {
  const taken = new Map<number, number>();
  const take = ({ width, ids, key }: TrainedPart): Float32Array => {
    const start = taken.get(width) ?? 0;
    const end = start + ids.length * width;
    const stack = buffers.get(deltaName(width))?.data;
    if (!stack || stack.length < end) throw new RangeError(`the state's buffer ${deltaName(width)} ends before ${key}`);
    taken.set(width, end);
    return stack.subarray(start, end);
  };
  return new Map(
    trainedParts({ indices, ...(columns && { columns }), ...(biases && { biases }) }, linears).map(({ linear, parts }) => {
      const { outFeatures, inFeatures } = linear;
      let rows: ModuleRows = { indices: new Int32Array(0), delta: new Float32Array(0), outFeatures, inFeatures };
      for (const part of parts) {
        const update = take(part);
        const updates = {
          rows: { indices: part.ids, delta: update },
          columns: { columns: part.ids, columnDelta: update },
          biases: { biasDelta: update },
        };
        rows = { ...rows, ...updates[part.axis] };
      }
      return [linear.name, rows];
    }),
  );
}

/** The engine's order of modules, and its delta buffers, from rows in any order. Throws TrainerError (infra) `checkpoint_mismatch`. */
export function stacksOf(
  rows: RowDelta,
  linears: readonly LinearInfo[],
): Pick<CheckpointState, 'indices' | 'columns' | 'biases' | 'buffers'> {
  const places = new Map(linears.map((linear) => [linear.name, linear]));
  for (const [name, { inFeatures, outFeatures }] of rows) {
    const linear = places.get(name);
    if (!linear) throw noSuchLinear(name);
    if (linear.inFeatures !== inFeatures || linear.outFeatures !== outFeatures)
      throw mismatch(`${name} is [${linear.outFeatures}, ${linear.inFeatures}] here, [${outFeatures}, ${inFeatures}] there`);
  }
  const ordered = linears.flatMap(({ name }) => {
    const module = rows.get(name);
    return module ? [[name, module] as const] : [];
  });
  const indices = new Map(ordered.flatMap(([name, module]) => (module.indices.length > 0 ? [[name, module.indices] as const] : [])));
  const columns = new Map(ordered.flatMap(([name, module]) => (module.columns ? [[name, module.columns] as const] : [])));
  const biases = ordered.flatMap(([name, module]) => (module.biasDelta ? [name] : []));
  const selection = { indices, ...(columns.size > 0 && { columns }), ...(biases.length > 0 && { biases }) };
  const parts = trainedParts(selection, linears).flatMap((module) => module.parts);
  const updateOf = ({ module, axis }: TrainedPart) => {
    const { delta, columnDelta, biasDelta } = rows.get(module.name) as ModuleRows;
    return { rows: delta, columns: columnDelta, biases: biasDelta }[axis] ?? new Float32Array(0);
  };
  const buffers = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const width of new Set(parts.map((part) => part.width))) {
    const updates = parts.filter((part) => part.width === width).map(updateOf);
    const data = new Float32Array(updates.reduce((sum, update) => sum + update.length, 0));
    let at = 0;
    for (const update of updates) {
      data.set(update, at);
      at += update.length;
    }
    buffers.set(deltaName(width), { shape: [data.length / width, width], data });
  }
  return { ...selection, buffers };
}

function trainedParts(
  { indices, columns, biases }: Pick<CheckpointState, 'indices' | 'columns' | 'biases'>,
  linears: readonly LinearInfo[],
) {
  const known = new Set(linears.map(({ name }) => name));
  for (const name of [...indices.keys(), ...(columns?.keys() ?? [])]) if (!known.has(name)) throw noSuchLinear(name);
  return linears.flatMap((linear) => {
    const chosen = columns?.get(linear.name);
    const module = {
      ...linear,
      indices: indices.get(linear.name) ?? new Int32Array(0),
      ...(chosen && { columns: chosen }),
      biases: biases?.includes(linear.name) ?? false,
    };
    const parts = partsOf(module);
    return parts.length > 0 ? [{ linear, parts }] : [];
  });
}

const noSuchLinear = (name: string) => mismatch(`the model has no linear called ${name}`);
const mismatch = (message: string) => new TrainerError('infra', 'checkpoint_mismatch', message);
