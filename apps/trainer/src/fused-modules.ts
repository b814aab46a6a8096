import type { Placement, Placements } from '@rowsmith/adapter';
import type { PackedModelIndex } from '@rowsmith/contracts';
import type { LinearInfo } from '@rowsmith/engine';

/** Phi-3's checkpoints hold q|k|v and gate|up as one module each, in the order in which they are packed. */
const fusedName: Readonly<Partial<Record<string, string>>> = {
  q_proj: 'qkv_proj',
  k_proj: 'qkv_proj',
  v_proj: 'qkv_proj',
  gate_proj: 'gate_up_proj',
  up_proj: 'gate_up_proj',
};

/** Which linears are parts of a larger module where the base model comes from; adapters must name that one. */
export function placementsOf({ config }: Pick<PackedModelIndex, 'config'>, linears: readonly LinearInfo[]): Placements {
  if (!('family' in config) || config.family !== 'phi3') return new Map();
  return new Map(
    linears.flatMap((linear): [string, Placement][] => {
      const module = fusedName[linear.target];
      if (module === undefined) return [];
      const outFeatures = linears.reduce((sum, { tensor, outFeatures: rows }) => (tensor === linear.tensor ? sum + rows : sum), 0);
      return [[linear.name, { module: linear.name.replace(/[^.]+$/, module), rowOffset: linear.rowOffset, outFeatures }]];
    }),
  );
}
