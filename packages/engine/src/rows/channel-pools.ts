import { type ChannelsName, isEncoder, type ModelConfig, sizesOf } from '@rowsmith/contracts';
import type { LinearInfo } from '../models/causal-lm.js';
import { byMean } from './normalise.js';
import type { ChannelScores, ScoreMatrix } from './score-matrix.js';

/** Channels of one linear that belong to a unit of a pool. */
export interface Member {
  readonly linear: Pick<LinearInfo, 'name'>;
  /** out: rows of W; in: columns. */
  readonly axis: keyof ChannelScores;
  readonly channels: (unit: number) => readonly number[];
}

/** Units that are compared with each other and trained whole: the rows or columns of a matrix, or the neurons of a dependency group. */
export interface Pool {
  /** For messages. */
  readonly name: string;
  readonly units: number;
  readonly members: readonly Member[];
}

/** Pools of every channels mode; in the order of the linears, a linear's rows before its columns. */
export function poolsOf(linears: readonly LinearInfo[], channels: ChannelsName, config: ModelConfig): readonly Pool[] {
  if (channels === 'coupled') {
    const layers = [...new Set(linears.map(({ layer }) => layer))];
    return layers.flatMap((layer) =>
      coupledPools(
        linears.filter((linear) => linear.layer === layer),
        layer,
        config,
      ),
    );
  }
  const rows = (linear: LinearInfo): Pool => ({
    name: linear.name,
    units: linear.outFeatures,
    members: [{ linear, axis: 'out', channels: same }],
  });
  const columns = (linear: LinearInfo): Pool => ({
    name: `the columns of ${linear.name}`,
    units: linear.inFeatures,
    members: [{ linear, axis: 'in', channels: same }],
  });
  return linears.flatMap((linear) => [...(channels === 'in' ? [] : [rows(linear)]), ...(channels === 'out' ? [] : [columns(linear)])]);
}

/**
 * Dependency groups of a decoder layer: what a neuron computes and what reads it. Of each group the members among `linears`; the others stay frozen.
 * - feed-forward: row i of gate and up, column i of down.
 * - values: row (k, d) of v, columns (k*G + g, d) of o for the G query heads g that share key/value head k.
 * - scores: queries and keys meet in dimension d of a head, which the rotation mixes with d + R/2 (R rotated dimensions): a unit is both rows of k
 *   and those of the G query heads; a dimension that does not rotate is a unit alone. Nothing reads it but the score, so there are no columns.
 */
function coupledPools(linears: readonly LinearInfo[], layer: number, config: ModelConfig): readonly Pool[] {
  const { n_heads, n_kv_heads: K, head_dim: D, intermediate_size: F } = sizesOf(config);
  const group = Array.from({ length: n_heads / K }, (_, g) => g);
  const member = (target: LinearInfo['target'], axis: Member['axis'], channels: Member['channels']): readonly Member[] =>
    linears.flatMap((linear) => (linear.target === target ? [{ linear, axis, channels }] : []));
  const headsOf = (k: number, dimensions: readonly number[]) => group.flatMap((g) => dimensions.map((d) => (k * group.length + g) * D + d));
  const R = rotated(config, layer);
  const perHead = D - R / 2;
  const pair = (unit: number): readonly number[] => {
    const at = unit % perHead;
    return at < R / 2 ? [at, at + R / 2] : [at + R / 2];
  };
  const name = (what: string) => `the ${what} of layer ${layer}`;
  const pools: readonly Pool[] = [
    {
      name: name('query/key dimensions'),
      units: K * perHead,
      members: [
        ...member('q_proj', 'out', (unit) => headsOf(Math.floor(unit / perHead), pair(unit))),
        ...member('k_proj', 'out', (unit) => pair(unit).map((d) => Math.floor(unit / perHead) * D + d)),
      ],
    },
    {
      name: name('value dimensions'),
      units: K * D,
      members: [...member('v_proj', 'out', same), ...member('o_proj', 'in', (unit) => headsOf(Math.floor(unit / D), [unit % D]))],
    },
    {
      name: name('feed-forward neurons'),
      units: F,
      members: [...member('gate_proj', 'out', same), ...member('up_proj', 'out', same), ...member('down_proj', 'in', same)],
    },
  ];
  return pools.filter(({ members }) => members.length > 0);
}

const same = (unit: number): readonly number[] => [unit];

/** Dimensions of a head that turn; an encoder's positions are added to its embeddings, so none do. */
function rotated(config: ModelConfig, layer: number): number {
  if (isEncoder(config)) return 0;
  const { ropes, rope_of_layer, head_dim } = config;
  return ropes?.[rope_of_layer?.[layer] ?? 0]?.dim ?? head_dim;
}

/**
 * One score a unit: the mean over all its channels, divided by the pool's mean (Li & Bhaskara, arXiv 2502.11439: dependency groups; members are
 * not normalised before, their vectors are sums over equally many weights). A pool of single channels keeps `byMean` of their scores.
 */
export function poolScores({ units, members }: Pool, scores: ScoreMatrix): Float64Array {
  const means = Float64Array.from({ length: units }, (_, unit) => {
    let sum = 0;
    let count = 0;
    for (const { linear, axis, channels } of members) {
      const own = scores.get(linear.name)?.[axis];
      for (const channel of channels(unit)) {
        sum += own?.[channel] ?? Number.NaN;
        count++;
      }
    }
    return sum / count;
  });
  return byMean(means);
}
