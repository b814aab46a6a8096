import type { DecoderConfig, Rope } from '@rowsmith/contracts';
import type { AttentionMask, Ops, RopeTable } from '../ops/ops.js';
import type { Handle } from '../runtime/handle.js';
import type { Runtime } from '../runtime/runtime.js';
import { isLong, ropeFrequencies } from './rope-frequencies.js';

/** What attention of one layer needs to know of positions. */
export interface PositionTables {
  readonly q: RopeTable;
  readonly k: RopeTable;
  /** Window and cap of the layer; packed sequences: the first key that each query sees. */
  readonly mask: AttentionMask;
}

export type LayerPositions = (layer: number) => PositionTables;

interface Covering {
  readonly length: number;
  readonly q: RopeTable;
  readonly k: RopeTable;
}

/**
 * Rotations for the longest sequence seen so far (rounded up to a power of two): four handles for each rope of the model, and four more for longrope's
 * second set, for the model's life.
 */
export class RopeTables {
  readonly #ropes: readonly Rope[];
  readonly #tables = new Map<string, Covering>();

  constructor(
    private readonly runtime: Runtime,
    private readonly ops: Ops,
    private readonly config: DecoderConfig,
  ) {
    this.#ropes = config.ropes ?? [{ theta: config.rope_theta }];
  }

  /** Rows of positions [start, start + count), in the caller's scope. longest: of the sequence; what is beyond is padding. */
  positions(start: number, count: number, longest = start + count): LayerPositions {
    return this.#perLayer(longest, start + count, (table) => this.ops.ropeRows(table, start, count));
  }

  /** Of packed sequences: each token's rotation by its position in its own sequence. positions, starts: [N] i32, see Segments. In the caller's scope. */
  packed(positions: Handle, starts: Handle, longest: number): LayerPositions {
    const gather = ({ cos, sin, dim }: RopeTable): RopeTable => ({
      cos: this.ops.gatherRows(cos, positions),
      sin: this.ops.gatherRows(sin, positions),
      dim,
    });
    return this.#perLayer(longest, longest, gather, starts);
  }

  /** Whether sequences of these two lengths rotate alike: with longrope a cache of keys is void when a sequence grows beyond the original maximum. */
  rotateAlike(length: number, other: number): boolean {
    return this.#ropes.every((rope) => isLong(rope, length) === isLong(rope, other));
  }

  /** Equal for lengths that rotate alike by the same tables. */
  kindOf(longest: number): string {
    return this.#ropes.map((rope) => (isLong(rope, longest) ? 'long' : 'short')).join('+');
  }

  dispose(): void {
    for (const key of this.#tables.keys()) this.#forget(key);
  }

  #perLayer(longest: number, length: number, rows: (table: RopeTable) => RopeTable, starts?: Handle): LayerPositions {
    const { windows, rope_of_layer, attention_softcap: softcap } = this.config;
    const cut = this.#ropes.map((rope, i) => {
      const { q, k } = this.#covering(rope, i, longest, length);
      return { q: rows(q), k: rows(k) };
    });
    return (layer) => {
      const tables = cut[rope_of_layer?.[layer] ?? 0];
      if (!tables) throw new RangeError(`layer ${layer} names a rope that the model does not have`);
      const window = windows?.[layer] ?? 0;
      return {
        ...tables,
        mask: { ...(window > 0 ? { window } : {}), ...(softcap === undefined ? {} : { softcap }), ...(starts ? { starts } : {}) },
      };
    };
  }

  #covering(rope: Rope, index: number, longest: number, length: number): Covering {
    const long = isLong(rope, longest);
    const key = `${index} ${long}`;
    const known = this.#tables.get(key);
    if (known && known.length >= length) return known;
    this.#forget(key);
    const { head_dim: headDim, n_heads, n_kv_heads, attention_scale } = this.config;
    const covered = Math.min(this.config.max_position_embeddings, 2 ** Math.ceil(Math.log2(Math.max(64, length))));
    const turns = ropeFrequencies(rope, headDim, long);
    const make = (copies: number, scale: number): RopeTable => {
      const { cos, sin, dim } = this.ops.ropeTable(covered, { headDim, copies, ...turns, scale });
      return { cos: this.runtime.own(cos), sin: this.runtime.own(sin), dim };
    };
    // Attention's factor is folded into the queries' rotation: one pass over the scores less.
    // Tables outlive what first needs them.
    const made = this.runtime.observed(undefined, () => ({
      length: covered,
      q: make(n_heads / n_kv_heads, attention_scale ?? 1 / Math.sqrt(headDim)),
      k: make(1, 1),
    }));
    this.#tables.set(key, made);
    return made;
  }

  #forget(key: string): void {
    const known = this.#tables.get(key);
    if (known) this.runtime.release(known.q.cos, known.q.sin, known.k.cos, known.k.sin);
    this.#tables.delete(key);
  }
}
