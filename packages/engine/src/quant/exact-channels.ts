import type { LinearInfo } from '../models/causal-lm.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { Handle } from '../runtime/handle.js';

/** Ascending ids, values [ids.length, width] f32. */
interface Written {
  readonly ids: Int32Array;
  readonly values: Handle;
}

/**
 * Rows and transposed columns of one linear that were written: they hold in every bit what was written last, whatever the base's quantisation.
 * Where rows and columns cross, both buffers hold the later value.
 */
export class ExactChannels {
  #rows: Written | undefined;
  #columns: Written | undefined;

  constructor(
    private readonly ops: StockOps,
    readonly linear: LinearInfo,
  ) {}

  /** values: [ids.length, in], stay the caller's. */
  writeRows(ids: Int32Array, values: Handle): void {
    this.#rows = this.#merged(this.#rows, ids, values);
    if (this.#columns) this.#cross(this.#columns, this.linear.outFeatures, ids, values);
  }

  /** values: [ids.length, out], stay the caller's. */
  writeColumns(ids: Int32Array, values: Handle): void {
    this.#columns = this.#merged(this.#columns, ids, values);
    if (this.#rows) this.#cross(this.#rows, this.linear.inFeatures, ids, values);
  }

  /** Puts what was written over rows of the base on the host, [ids.length, in]. */
  overRows(ids: Int32Array, base: Float32Array): void {
    this.#over(this.#rows, this.#columns, this.linear.inFeatures, ids, base);
  }

  /** The same for transposed columns, [ids.length, out]. */
  overColumns(ids: Int32Array, base: Float32Array): void {
    this.#over(this.#columns, this.#rows, this.linear.outFeatures, ids, base);
  }

  /** Puts it over a matrix on the device that holds rows [start, start + rows) of the packed tensor. */
  overMatrix(matrix: Handle, start: number, rows: number): void {
    const { ops } = this;
    const { rowOffset, outFeatures, inFeatures } = this.linear;
    const [first, end] = [Math.max(0, start - rowOffset), Math.min(outFeatures, start + rows - rowOffset)];
    if (end <= first) return;
    ops.runtime.scope(() => {
      if (this.#rows) {
        const { ids, values } = this.#rows;
        const wanted = [...ids.keys()].filter((k) => (ids[k] as number) >= first && (ids[k] as number) < end);
        const part = wanted.length === ids.length ? values : ops.gatherRows(values, this.#upload(Int32Array.from(wanted)));
        if (wanted.length > 0)
          ops.writeRows(matrix, this.#upload(Int32Array.from(wanted, (k) => (ids[k] as number) + rowOffset - start)), part);
      }
      if (this.#columns) {
        const { ids, values } = this.#columns;
        const count = end - first;
        const part =
          count === outFeatures ? values : ops.gatherColumns(values, this.#upload(Int32Array.from({ length: count }, (_, i) => first + i)));
        const places = new Int32Array(ids.length * count);
        ids.forEach((column, k) => {
          for (let i = 0; i < count; i++) places[k * count + i] = (first + i + rowOffset - start) * inFeatures + column;
        });
        ops.writeElements(matrix, this.#upload(places), part);
      }
    });
  }

  dispose(): void {
    for (const written of [this.#rows, this.#columns]) if (written) this.ops.runtime.release(written.values);
    this.#rows = undefined;
    this.#columns = undefined;
  }

  /** The same ids again, as in training: the new values take the place of the old. Other ids join them. */
  #merged(old: Written | undefined, ids: Int32Array, values: Handle): Written {
    const { ops } = this;
    const { runtime } = ops;
    if (!old || (old.ids.length === ids.length && old.ids.every((id, k) => id === ids[k]))) {
      const copy = runtime.own(ops.copy(values));
      if (old) runtime.release(old.values);
      return { ids: old?.ids ?? ids.slice(), values: copy };
    }
    const width = values.shape[1] ?? 0;
    const rows = new Map<number, Float32Array>();
    for (const { ids: from, values: handle } of [old, { ids, values }]) {
      const data = runtime.readF32(handle);
      from.forEach((id, k) => {
        rows.set(id, data.slice(k * width, (k + 1) * width));
      });
    }
    const all = Int32Array.from(rows.keys()).sort();
    const joined = new Float32Array(all.length * width);
    all.forEach((id, k) => {
      joined.set(rows.get(id) as Float32Array, k * width);
    });
    runtime.release(old.values);
    return { ids: all, values: runtime.own(runtime.upload(joined, [all.length, width], 'f32')) };
  }

  /** What was written across [n, width of the other axis] goes into `into` [c, width] where they meet. */
  #cross(into: Written, width: number, ids: Int32Array, values: Handle): void {
    const { ops } = this;
    // values[k, into.ids[l]] belongs at into.values[l, ids[k]].
    const places = Int32Array.from({ length: ids.length * into.ids.length }, (_, i) => {
      const [k, l] = [Math.floor(i / into.ids.length), i % into.ids.length];
      return l * width + (ids[k] as number);
    });
    ops.runtime.scope(() =>
      ops.writeElements(into.values, this.#upload(places), ops.gatherColumns(values, this.#upload(into.ids.slice()))),
    );
  }

  #over(along: Written | undefined, across: Written | undefined, width: number, ids: Int32Array, base: Float32Array): void {
    const { runtime } = this.ops;
    if (across) {
      const data = runtime.readF32(across.values);
      const length = across.values.shape[1] ?? 0;
      ids.forEach((id, k) => {
        across.ids.forEach((other, l) => {
          base[k * width + other] = data[l * length + id] as number;
        });
      });
    }
    if (along) {
      const data = runtime.readF32(along.values);
      const at = new Map(Array.from(along.ids, (id, k) => [id, k]));
      ids.forEach((id, k) => {
        const from = at.get(id);
        if (from !== undefined) base.set(data.subarray(from * width, (from + 1) * width), k * width);
      });
    }
  }

  #upload(ids: Int32Array): Handle {
    return this.ops.runtime.upload(ids, [ids.length], 'i32');
  }
}
