/** The report of a load run in Markdown. `without end`: more requests than the percentile leaves out were refused, not sent or not answered. */
import { cpus, loadavg } from 'node:os';
import { memoryOf, slopeOf } from './watch-api.mjs';

/** Seconds of a phase that are reported apart: compilation, connections and prepared statements. */
const first = 10;
const worstSeconds = 8;

const ms = (n) =>
  Number.isNaN(n) || n === undefined ? '-' : n === Number.POSITIVE_INFINITY ? 'without end' : n >= 100 ? n.toFixed(0) : n.toFixed(1);
const one = (n) => (n === null || n === undefined || !Number.isFinite(n) ? '-' : n.toFixed(1));
const table = (head, rows) => [
  `| ${head.join(' | ')} |`,
  `|${head.map(() => '---').join('|')}|`,
  ...rows.map((row) => `| ${row.join(' | ')} |`),
  '',
];

function latencies(rows) {
  return table(
    [
      'phase',
      'requests',
      'number',
      'failed',
      'p50 ms',
      'p95 ms',
      'p99 ms',
      'max ms',
      `p50 after ${first} s`,
      `p95 after ${first} s`,
      `p99 after ${first} s`,
      `max after ${first} s`,
    ],
    rows.flatMap(({ phase, kinds, loads }) =>
      [...kinds, ...(kinds.length > 1 ? loads.map(({ times, wanted }) => [`all at ${wanted}/s`, times]) : [])].map(([name, times]) => {
        const [all, later] = [times.summary(), times.summary(first)];
        return [phase, name, all.requests, all.errors, ...[all, later].flatMap((s) => [s.p50, s.p95, s.p99, s.max].map(ms))];
      }),
    ),
  );
}

function seconds({ phase, seconds: length, loads }) {
  return loads.flatMap(({ times, wanted }) => {
    const all = Array.from({ length: Math.ceil(length) }, (_, s) => ({ s, ...times.summary(s, s + 1) }));
    const worst = [...all].sort((a, b) => b.p99 - a.p99).slice(0, worstSeconds);
    return [
      `${phase}, ${wanted}/s: p99 of each of the first ${first} seconds: ${all
        .slice(0, first)
        .map(({ p99 }) => ms(p99))
        .join(', ')}; of the worst seconds: ${worst.map(({ s, p99 }) => `${ms(p99)} (second ${s})`).join(', ')}; ` +
        `seconds with a p99 above 50 ms: ${all.filter(({ p99 }) => p99 > 50).length} of ${all.length}`,
    ];
  });
}

function minutes({ phase, seconds: length, loads, lines }) {
  if (length < 120) return [];
  const memory = memoryOf(lines, 60);
  return [
    `By minutes of '${phase}' (memory in MiB; kept: least heap after a major collection):`,
    '',
    ...table(
      [
        'minute',
        ...loads.flatMap(({ wanted }) => [`p50 at ${wanted}/s`, 'p99', 'failed']),
        'RSS',
        'heap used',
        'kept',
        'heap',
        'external',
        'array buffers',
      ],
      memory.map((m, i) => [
        i + 1,
        ...loads.flatMap(({ times }) => {
          const part = times.summary(i * 60, (i + 1) * 60);
          return [ms(part.p50), ms(part.p99), part.errors];
        }),
        ...[m.rss, m.heapUsed, m.kept, m.heapTotal, m.external, m.arrayBuffers].map(one),
      ]),
    ),
    `Slope in MiB a minute from minute 3 on: RSS ${one(slopeOf(lines, 'rss', 120))}, heap used ${one(slopeOf(lines, 'heapUsed', 120))}, kept ${one(slopeOf(lines, 'kept', 120))}, external ${one(slopeOf(lines, 'external', 120))}`,
    '',
  ];
}

export function reportOf(rows, training) {
  return [
    `${cpus().length} cores (${cpus()[0].model}), Node ${process.version}, load average ${loadavg()[0].toFixed(1)} at the end; ${training}`,
    '',
    ...latencies(rows),
    ...table(
      [
        'phase',
        'seconds',
        'completed a second',
        'processor ms an answer: API (in the kernel), Postgres, driver',
        'steps of training a minute',
        'driver late at worst, ms',
        'memory of the API by tenths, MiB',
      ],
      rows.map((r) => [
        ...[r.phase, r.seconds, r.loads.map(({ completed, wanted }) => `${completed.toFixed(1)} of ${wanted}`).join(' + ')],
        `${r.perRequest.api.toFixed(2)} (${r.perRequest.apiSystem.toFixed(2)}), ${r.perRequest.postgres.toFixed(2)}, ${r.perRequest.driver.toFixed(2)}`,
        ...[r.stepsPerMinute.toFixed(1), ms(r.lateMs)],
        memoryOf(r.lines, Math.max(1, Math.round(r.lines.length / 10)))
          .map(({ rss }) => Math.round(rss))
          .join(' '),
      ]),
    ),
    ...table(
      [
        'phase',
        'event loop busy',
        'its delay: mean p99, worst, ms',
        'collections minor, major',
        'share of time',
        'longest pause, ms',
        'pool: most busy, most waiting, looks with waiting',
        'Postgres processes',
      ],
      rows.map(({ phase, loop, pool, backends }) => [
        ...[phase, `${(100 * loop.busy).toFixed(0)} %`, `${one(loop.lateP99)}, ${one(loop.lateMax)}`, `${loop.minor}, ${loop.major}`],
        ...[
          `${(100 * loop.gcShare).toFixed(1)} %`,
          one(loop.longestPause),
          `${pool.busy}, ${pool.waiting}, ${pool.looksWithWaiting} of ${pool.looks}`,
          backends,
        ],
      ]),
    ),
    ...rows.flatMap(seconds),
    '',
    ...rows.flatMap(minutes),
    ...rows.flatMap(({ phase, kinds }) =>
      kinds.flatMap(([kind, { failed }]) => [...failed].map(([what, n]) => `${phase}, ${kind}: ${n} times ${what}`)),
    ),
  ].join('\n');
}
