import { columnsKey } from '@rowsmith/contracts';
import type { RowModule } from './causal-lm.js';

/** What is trained of a matrix W [out, in] as rows of one length: its rows S (D, [r, in]), or its columns, transposed (E^T, [c, out]). */
export interface TrainedPart {
  readonly module: RowModule;
  readonly axis: 'rows' | 'columns';
  /** Key of its gradient. */
  readonly key: string;
  /** Which rows, or which columns. */
  readonly ids: Int32Array;
  readonly width: number;
}

/** Rows before columns; empty parts are left out. Keys: the module's name, and `columnsKey` of it. */
export function partsOf(module: RowModule): readonly TrainedPart[] {
  const { name, indices, columns = new Int32Array(0), inFeatures, outFeatures } = module;
  const parts: readonly TrainedPart[] = [
    { module, axis: 'rows', key: name, ids: indices, width: inFeatures },
    { module, axis: 'columns', key: columnsKey(name), ids: columns, width: outFeatures },
  ];
  return parts.filter(({ ids }) => ids.length > 0);
}
