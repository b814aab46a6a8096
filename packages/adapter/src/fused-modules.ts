/** Where the matrices of the delta lie in the modules of the checkpoint: most are modules themselves, Phi-3 keeps q|k|v and gate|up in one each. */
import type { ModelConfig, ModuleRows, RowDelta, TargetName } from '@rowsmith/contracts';

/** A matrix that is a block of rows of a larger one. */
export interface Placement {
  /** Name of the module that holds it, e.g. `model.layers.0.self_attn.qkv_proj`. */
  readonly module: string;
  /** First of its rows there. */
  readonly rowOffset: number;
  /** Rows of the whole module. */
  readonly outFeatures: number;
}
export type Placements = ReadonlyMap<string, Placement>;

export interface PlacedPart {
  readonly name: string;
  readonly rows: ModuleRows;
  readonly rowOffset: number;
  /** Component of the rank of its first row; the others follow. */
  readonly component: number;
}
/** One module of the export and the trained matrices in it. */
export interface ExportModule {
  readonly name: string;
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly parts: readonly PlacedPart[];
  /** Columns of all parts, ascending: components [columnComponent, columnComponent + length). */
  readonly columns: Int32Array;
  readonly columnComponent: number;
  /** Components in use. */
  readonly rank: number;
}

/**
 * Which of the matrices are parts of a larger module where the base model comes from; adapters must name that one. Phi-3's checkpoints hold q|k|v and
 * gate|up as one module each, in the order in which they are packed.
 */
export function fusedPlacements(config: ModelConfig, modules: Iterable<string>): Placements {
  if (!('family' in config) || config.family !== 'phi3') return new Map();
  const [queries, keys, inner] = [config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim, config.intermediate_size];
  const attention = { fused: 'qkv_proj', outFeatures: queries + 2 * keys };
  const feedForward = { fused: 'gate_up_proj', outFeatures: 2 * inner };
  const places: { readonly [T in TargetName]?: typeof attention & { readonly rowOffset: number } } = {
    q_proj: { ...attention, rowOffset: 0 },
    k_proj: { ...attention, rowOffset: queries },
    v_proj: { ...attention, rowOffset: queries + keys },
    gate_proj: { ...feedForward, rowOffset: 0 },
    up_proj: { ...feedForward, rowOffset: inner },
  };
  return new Map(
    Array.from(modules).flatMap((name): [string, Placement][] => {
      const place = Object.entries(places).find(([target]) => name.endsWith(`.${target}`))?.[1];
      if (place === undefined) return [];
      const { fused, rowOffset, outFeatures } = place;
      return [[name, { module: name.replace(/[^.]+$/, fused), rowOffset, outFeatures }]];
    }),
  );
}

/** In the order of the delta. placements: of the matrices that are not modules; absent: all are. */
export function exportModules(delta: RowDelta, placements: Placements = new Map()): readonly ExportModule[] {
  const groups = new Map<string, { readonly outFeatures: number; readonly parts: PlacedPart[] }>();
  for (const [name, rows] of delta) {
    const { module, rowOffset, outFeatures } = placements.get(name) ?? { module: name, rowOffset: 0, outFeatures: rows.outFeatures };
    const group = groups.get(module) ?? { outFeatures, parts: [] };
    const before = group.parts.at(-1);
    group.parts.push({ name, rows, rowOffset, component: before ? before.component + before.rows.indices.length : 0 });
    groups.set(module, group);
  }
  return Array.from(groups, ([name, { outFeatures, parts }]) => {
    const columns = Int32Array.from(new Set(parts.flatMap(({ rows }) => [...(rows.columns ?? [])]))).sort();
    const columnComponent = parts.reduce((sum, { rows }) => sum + rows.indices.length, 0);
    const inFeatures = parts[0]?.rows.inFeatures ?? 0;
    return { name, outFeatures, inFeatures, parts, columns, columnComponent, rank: columnComponent + columns.length };
  });
}

/** Components of the rank that a part uses: its rows, then its columns. */
export function componentsOf({ columns, columnComponent }: ExportModule, { rows, component }: PlacedPart): Int32Array {
  const ofRows = Array.from(rows.indices, (_, k) => component + k);
  const ofColumns = Array.from(rows.columns ?? [], (column) => columnComponent + columns.indexOf(column));
  return Int32Array.from([...ofRows, ...ofColumns]);
}
