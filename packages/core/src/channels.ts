/** Rules about what of a matrix is trained. Pure. */
import type { RowSparseConfig, RowSparseRequest, TargetName } from '@rowsmith/contracts';
import { given } from './given.js';
import type { JobFacts, JobFault } from './resolve-job.js';

type ChannelFields = Pick<RowSparseConfig, 'channels' | 'update_dropout' | 'train_biases'>;

export function resolveChannels(asked: RowSparseRequest): ChannelFields {
  return {
    channels: given(asked.channels) ?? 'out',
    update_dropout: given(asked.update_dropout) ?? 0,
    train_biases: given(asked.train_biases) ?? false,
  };
}

/** How many there are to choose from in each place that `rows` counts for, by the channels. */
export function choicesOf(
  { channels, targets }: Pick<RowSparseConfig, 'channels' | 'targets'>,
  { rowsOf, encoder }: JobFacts['model'],
): number[] {
  const columnsOf: Readonly<Record<TargetName, number>> = {
    q_proj: rowsOf.o_proj,
    k_proj: rowsOf.o_proj,
    v_proj: rowsOf.o_proj,
    o_proj: rowsOf.q_proj,
    gate_proj: rowsOf.o_proj,
    up_proj: rowsOf.o_proj,
    down_proj: rowsOf.up_proj,
  };
  const neurons: readonly (readonly [number, ...TargetName[]])[] = [
    [encoder ? rowsOf.k_proj : rowsOf.k_proj / 2, 'q_proj', 'k_proj'],
    [rowsOf.v_proj, 'v_proj', 'o_proj'],
    [rowsOf.up_proj, 'gate_proj', 'up_proj', 'down_proj'],
  ];
  switch (channels) {
    case 'out':
      return targets.map((target) => rowsOf[target]);
    case 'in':
      return targets.map((target) => columnsOf[target]);
    case 'both':
      return targets.flatMap((target) => [rowsOf[target], columnsOf[target]]);
    case 'coupled':
      // A pair of rotated dimensions, a value dimension, a feed-forward neuron.
      return neurons.flatMap(([count, ...members]) => (members.some((member) => targets.includes(member)) ? [count] : []));
  }
}

export function channelsFault(config: RowSparseConfig, { model }: JobFacts): JobFault | null {
  const { channels, rows, head_groups: groups, heads } = config;
  if (channels !== 'out' && (groups || heads > 0))
    return {
      param: `row_sparse.${heads > 0 ? 'heads' : 'head_groups'}`,
      message: `Heads are blocks of rows: head_groups and heads need the channels 'out', not '${channels}'.`,
    };
  const largest = Math.max(...choicesOf(config, model));
  // A smaller matrix than asked for is trained whole; when every one is smaller the number is a mistake.
  if (typeof rows === 'number' && rows > largest)
    return { param: 'row_sparse.rows', message: `${rows} were asked for; the largest of the targets has ${largest} to choose from.` };
  return null;
}
