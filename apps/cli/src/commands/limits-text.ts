/** The limits of a model for people; --json has all of them. */
import type { FieldLimit, ModelLimits } from '@rowsmith/contracts';
import { table } from '../table.js';

/** `1 to 256`, `above 0 to 1`, `l2, l1, random`. */
export function limitText(limit: FieldLimit): string {
  const low = limit.minimum ?? limit.exclusive_minimum;
  const high = limit.maximum ?? limit.exclusive_maximum;
  const items = limit.max_items === undefined ? '' : `${limit.min_items ?? 0} to ${limit.max_items} items`;
  const range = [
    low === undefined ? '' : `${limit.minimum === undefined ? 'above ' : ''}${low}`,
    high === undefined ? '' : `${limit.maximum === undefined ? 'below' : 'to'} ${high}`,
  ];
  return [
    limit.values && (limit.values.length === 0 ? 'not with this model' : limit.values.join(', ')),
    range.filter(Boolean).join(' '),
    items,
    limit.max_length === undefined ? '' : `up to ${limit.max_length} characters`,
  ]
    .filter(Boolean)
    .join('; ');
}

const rowsOf = (fields: Readonly<Record<string, FieldLimit>>) =>
  Object.entries(fields).map(([name, limit]) => [
    name,
    limit.default === undefined ? '-' : JSON.stringify(limit.default),
    limitText(limit),
  ]);

export function limitsText(limits: ModelLimits): string {
  const { kind, layers, context_length: context, files, requests, quotas } = limits;
  const devices = limits.devices.map(({ device, memory }) => [
    device,
    memory
      .filter(({ fits }) => fits)
      .map(({ mode }) => mode)
      .join(', ') || 'does not fit',
  ]);
  const none = (value: number | null) => (value === null ? 'no limit' : String(value));
  return [
    `${limits.model}  ${kind}, ${layers} layers, ${context} tokens`,
    table(
      ['matrix', 'rows', 'columns'],
      limits.matrices.map(({ target, rows, columns }) => [target, String(rows), String(columns)]),
    ),
    table(
      ['channels', 'most rows'],
      Object.entries(limits.rows_of_channels).map(([name, most]) => [name, String(most)]),
    ),
    table(['row_sparse', 'default', 'may be'], rowsOf(limits.row_sparse)),
    table(['hyperparameters', 'default', 'may be'], rowsOf(limits.hyperparameters)),
    table(['job', 'default', 'may be'], rowsOf(limits.job)),
    table(['device', 'memory modes that fit (batch_size 1)'], devices),
    table(
      ['service', 'limit'],
      [
        ['bytes of a file', String(files.max_bytes)],
        ['bytes of a line', String(files.max_line_bytes)],
        ['bytes of a part of an upload', String(files.max_part_bytes)],
        ['requests a minute of a key', none(requests.per_minute)],
        ['live streams of a key', String(requests.streams)],
      ],
    ),
    table(
      ['quota of the project', 'limit'],
      Object.entries(quotas).map(([name, limit]) => [name, none(limit)]),
    ),
  ].join('\n\n');
}
