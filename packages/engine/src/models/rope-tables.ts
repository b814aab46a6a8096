import type { DecoderConfig } from '@rowsmith/contracts';
import type { Ops, RopeTable } from '../ops/ops.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Segments } from './segments.js';

export interface PositionTables {
  readonly q: RopeTable;
  readonly k: RopeTable;
  /** Packed sequences: the first key that each query sees, [T] i32. */
  readonly starts?: Handle;
}

/** Rotations for the longest sequence seen so far (rounded up to a power of two): four handles for the model's life. */
export class RopeTables {
  #tables: PositionTables | undefined;
  #length = 0;

  constructor(
    private readonly runtime: Runtime,
    private readonly ops: Ops,
    private readonly config: DecoderConfig,
  ) {}

  /** Rows of positions [start, start + count), in the caller's scope. */
  positions(start: number, count: number): PositionTables {
    const tables = this.#covering(start + count);
    return { q: this.ops.ropeRows(tables.q, start, count), k: this.ops.ropeRows(tables.k, start, count) };
  }

  /** Of packed sequences: each token's rotation by its position in its own sequence. In the caller's scope. */
  packed({ positions, starts, longest }: Segments): PositionTables {
    const tables = this.#covering(longest);
    const upload = (values: Int32Array) => this.runtime.upload(values, [values.length], 'i32', true);
    const ids = upload(positions);
    const gather = ({ cos, sin }: RopeTable): RopeTable => ({ cos: this.ops.gatherRows(cos, ids), sin: this.ops.gatherRows(sin, ids) });
    return { q: gather(tables.q), k: gather(tables.k), starts: upload(starts) };
  }

  dispose(): void {
    if (this.#tables) for (const { cos, sin } of Object.values(this.#tables) as RopeTable[]) this.runtime.release(cos, sin);
    this.#tables = undefined;
  }

  #covering(length: number): PositionTables {
    if (this.#tables && this.#length >= length) return this.#tables;
    this.dispose();
    const { head_dim: headDim, n_heads, n_kv_heads, rope_theta } = this.config;
    this.#length = Math.min(this.config.max_position_embeddings, 2 ** Math.ceil(Math.log2(Math.max(64, length))));
    const make = (copies: number, scale: number): RopeTable => {
      const { cos, sin } = this.ops.ropeTable(this.#length, { headDim, copies }, rope_theta, scale);
      return { cos: this.runtime.own(cos), sin: this.runtime.own(sin) };
    };
    // Attention's 1/sqrt(D) is folded into the queries' rotation: one pass over the scores less.
    this.#tables = { q: make(n_heads / n_kv_heads, 1 / Math.sqrt(headDim)), k: make(1, 1) };
    return this.#tables;
  }
}
