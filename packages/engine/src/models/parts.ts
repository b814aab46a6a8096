import { biasesKey, columnsKey } from '@rowsmith/contracts';
import type { Handle } from '../runtime/handle.js';
import type { RowModule, TrainableModel } from './causal-lm.js';

/**
 * What is trained of a linear, as rows of one length: rows S of W [out, in] (D, [r, in]), its columns, transposed (E^T, [c, out]), or the bias
 * entries of S ([r, 1]).
 */
export interface TrainedPart {
  readonly module: RowModule;
  readonly axis: 'rows' | 'columns' | 'biases';
  /** Key of its gradient. */
  readonly key: string;
  /** Which rows, or which columns. */
  readonly ids: Int32Array;
  readonly width: number;
}

/** Rows before columns before biases; empty parts are left out. Keys: the module's name, `columnsKey` and `biasesKey` of it. */
export function partsOf(module: RowModule): readonly TrainedPart[] {
  const { name, indices, columns = new Int32Array(0), biases, inFeatures, outFeatures } = module;
  const parts: readonly TrainedPart[] = [
    { module, axis: 'rows', key: name, ids: indices, width: inFeatures },
    { module, axis: 'columns', key: columnsKey(name), ids: columns, width: outFeatures },
    { module, axis: 'biases', key: biasesKey(name), ids: biases ? indices : new Int32Array(0), width: 1 },
  ];
  return parts.filter(({ ids }) => ids.length > 0);
}

/** Rows and columns: what a product reads. */
export const weightPartsOf = (module: RowModule): readonly TrainedPart[] => partsOf(module).filter(({ axis }) => axis !== 'biases');

/** What the model holds, [ids, width] on the host. */
export function readPart(model: TrainableModel, { axis, module, ids }: TrainedPart): Float32Array {
  switch (axis) {
    case 'rows':
      return model.readRows(module, ids);
    case 'columns':
      return model.readColumns(module, ids);
    case 'biases':
      return model.readBiases(module, ids);
  }
}

/** values: [ids, width]. */
export function writePart(model: TrainableModel, { axis, module, ids }: TrainedPart, values: Handle): void {
  if (axis === 'rows') model.writeRows(module, ids, values);
  else if (axis === 'columns') model.writeColumns(module, ids, values);
  else model.writeBiases(module, ids, values);
}
