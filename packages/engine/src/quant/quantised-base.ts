import { EngineError } from '../errors.js';
import type { LinearInfo } from '../models/causal-lm.js';
import type { StockOps } from '../ops/stock-ops.js';
import type { StoredMatrix } from '../ops/weight.js';
import type { Handle } from '../runtime/handle.js';
import { dynamicLevels, quantiseScales } from './double-quantise.js';
import { ExactChannels } from './exact-channels.js';
import { type Int8Codes, type Nf4Codes, nf4Block, type Place, type Quantization } from './formats.js';

interface Quantised {
  readonly shape: readonly [out: number, inFeatures: number];
  readonly handles: readonly Handle[];
  dequantise(place: Place): Handle;
}

/** The full-precision tensor of that name in the innermost scope; it may share memory with the file. */
export type Original = (name: string) => Handle;

/**
 * The matrices of a quantised base: held in 4, 8 or 16 bits, in f32 only while a product reads them. What was written (selected rows and columns) is
 * exact: it lies over the dequantised matrix each time.
 */
export class QuantisedBase {
  readonly #matrices = new Map<string, Quantised>();
  readonly #exact = new Map<string, ExactChannels>();

  /** Quantises matrix by matrix: besides the codes one matrix is in memory at a time. Throws EngineError `invalid_model` when a weight is not finite. */
  constructor(
    private readonly ops: StockOps,
    readonly quantization: Quantization,
    shapes: ReadonlyMap<string, readonly number[]>,
    readonly original: Original,
  ) {
    try {
      for (const [name, shape] of shapes) this.#matrices.set(name, this.#quantised(name, shape));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  has(name: string): boolean {
    return this.#matrices.has(name);
  }

  matrix(name: string): StoredMatrix {
    const matrix = this.#matrices.get(name);
    if (!matrix) throw new EngineError('precheck', 'invalid_model', `the model has no tensor ${name}`);
    return this.#part(name, matrix, 0, matrix.shape[0]);
  }

  /** Rows as written, else as the full-precision base has them. [r, in] */
  readRows(linear: LinearInfo, ids: Int32Array): Float32Array {
    const { runtime } = this.ops;
    const packed = ids.map((row) => row + linear.rowOffset);
    const rows = runtime.scope(() =>
      runtime.readF32(this.ops.gatherRows(this.original(linear.tensor), runtime.upload(packed, [ids.length], 'i32'))).slice(),
    );
    this.#exact.get(linear.name)?.overRows(ids, rows);
    return rows;
  }

  /** Transposed columns as written, else as the full-precision base has them. [c, out] */
  readColumns(linear: LinearInfo, ids: Int32Array, columnsOf: (matrix: Handle) => Float32Array): Float32Array {
    const columns = this.ops.runtime.scope(() => columnsOf(this.original(linear.tensor)));
    this.#exact.get(linear.name)?.overColumns(ids, columns);
    return columns;
  }

  writeRows(linear: LinearInfo, ids: Int32Array, values: Handle): void {
    this.#exactOf(linear).writeRows(ids, values);
  }

  writeColumns(linear: LinearInfo, ids: Int32Array, values: Handle): void {
    this.#exactOf(linear).writeColumns(ids, values);
  }

  /** Forgets what was written: the matrices are the quantised base's again, bit for bit. */
  restore(): void {
    for (const channels of this.#exact.values()) channels.dispose();
    this.#exact.clear();
  }

  dispose(): void {
    this.restore();
    for (const { handles } of this.#matrices.values()) this.ops.runtime.release(...handles);
    this.#matrices.clear();
  }

  #exactOf(linear: LinearInfo): ExactChannels {
    const known = this.#exact.get(linear.name);
    if (known) return known;
    const made = new ExactChannels(this.ops, linear);
    this.#exact.set(linear.name, made);
    return made;
  }

  #part(name: string, matrix: Quantised, start: number, rows: number): StoredMatrix {
    const columns = matrix.shape[1];
    return {
      shape: [rows, columns],
      rows: (first, count) => this.#part(name, matrix, start + first, count),
      materialise: () =>
        this.ops.runtime.scope((keep) => {
          const values = matrix.dequantise({ start, rows, columns });
          for (const channels of this.#exact.values()) if (channels.linear.tensor === name) channels.overMatrix(values, start, rows);
          return keep(values);
        }),
    };
  }

  #quantised(name: string, shape: readonly number[]): Quantised {
    const { ops, quantization } = this;
    const { runtime } = ops;
    const [rows = 0, columns = 0] = shape;
    return runtime.scope((): Quantised => {
      const w = this.original(name);
      if (quantization.kind === 'bf16') {
        finite(name, runtime.readF32(ops.sumAll(ops.abs(w))));
        const held = runtime.own(ops.roundBf16(w));
        return { shape: [rows, columns], handles: [held], dequantise: (place) => ops.widenBf16(held, place) };
      }
      const codes = quantization.kind === 'nf4' ? ops.quantiseNf4(w, nf4Block) : ops.quantiseInt8(w);
      const scales = runtime.readF32(codes.scales);
      finite(name, scales);
      const own = <H extends Handle>(handle: H): H => runtime.own(handle);
      if (quantization.kind === 'int8') {
        const held: Int8Codes = { codes: own(codes.codes), scales: own(codes.scales) };
        return { shape: [rows, columns], handles: [held.codes, held.scales], dequantise: (place) => ops.dequantiseInt8(held, place) };
      }
      const held: Nf4Codes = quantization.double ? twice(ops, codes.codes, scales) : codes;
      const handles = [held.codes, held.scales, ...(held.twice ? Object.values(held.twice) : [])].map(own);
      return { shape: [rows, columns], handles, dequantise: (place) => ops.dequantiseNf4(held, nf4Block, place) };
    });
  }
}

function finite(name: string, values: Float32Array): void {
  if (!values.every(Number.isFinite))
    throw new EngineError('precheck', 'invalid_model', `tensor ${name}: a weight is not finite; its weights are damaged`);
}

function twice({ runtime }: StockOps, codes: Handle, scales: Float32Array): Nf4Codes {
  const quantised = quantiseScales(scales);
  const levels = new Float32Array(dynamicLevels.length + 1);
  levels.set(dynamicLevels);
  levels[dynamicLevels.length] = quantised.mean;
  return {
    codes,
    scales: runtime.upload(quantised.scales, [quantised.scales.length], 'f32'),
    twice: {
      codes: runtime.upload(quantised.codes, [quantised.codes.length], 'u8'),
      levels: runtime.upload(levels, [levels.length], 'f32'),
    },
  };
}
