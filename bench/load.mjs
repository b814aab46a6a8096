/**
 * What the API answers under load while a job trains on the same cores.
 *   npm run bench:load -- [--seconds 60] [--minutes 0] [--reads 500] [--posts 50] [--phases idle,reads,posts,both] [--no-training] [--profile FOLDER] [--out FILE]
 * Starts `rowsmith up`, trains SmolLM2-135M, then drives: reads (a job, the list, events, metrics) and creations of jobs that are not started, each at a fixed
 * rate (load/open-loop.mjs). `--minutes` is the length of the last phase. The driver runs on the same cores too.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openLoop } from './load/open-loop.mjs';
import { processorMs, projectRoot, startService, watchMemory } from './load/service.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    minutes: { type: 'string', default: '0' },
    reads: { type: 'string', default: '500' },
    posts: { type: 'string', default: '50' },
    phases: { type: 'string', default: 'reads,posts,both' },
    'no-training': { type: 'boolean', default: false },
    profile: { type: 'string' },
    out: { type: 'string' },
  },
});
const [seconds, minutes, readRate, postRate] = ['seconds', 'minutes', 'reads', 'posts'].map((name) => Number(values[name]));
const model = 'smollm2-135m-instruct';
const say = (line) => process.stderr.write(`${line}\n`);

const service = await startService(
  values.profile === undefined
    ? {}
    : { NODE_OPTIONS: `--import=${new URL('load/profile.mjs', import.meta.url).href}`, ROWSMITH_PROFILE: resolve(values.profile) },
);
try {
  const form = new FormData();
  form.set('purpose', 'fine-tune');
  form.set('file', new Blob([await readFile(join(projectRoot, 'examples/train.jsonl'))]), 'train.jsonl');
  const file = await service.json('/v1/files', { method: 'POST', body: form });
  const body = { model, training_file: file.id, hyperparameters: { n_epochs: 50 } };
  const trained = await service.post('/v1/fine_tuning/jobs', { ...body, auto_start: !values['no-training'], priority: 100 });
  const step = async () => (await service.json(`/v1/fine_tuning/jobs/${trained.id}`)).progress.step;
  if (!values['no-training']) {
    say('waiting for the job to train');
    while ((await step()) < 3) await new Promise((next) => setTimeout(next, 1_000));
  }
  const ids = [trained.id];
  for (let i = 0; i < 50; i += 1) ids.push((await service.post('/v1/fine_tuning/jobs', { ...body, auto_start: false })).id);

  let turn = 0;
  const jobs = '/v1/fine_tuning/jobs';
  const kinds = [
    () => ({ name: 'GET job', path: `${jobs}/${ids[turn % ids.length]}` }),
    () => ({ name: 'GET jobs', path: `${jobs}?limit=20` }),
    () => ({ name: 'GET events', path: `${jobs}/${trained.id}/events?limit=20` }),
    () => ({ name: 'GET metrics', path: `${jobs}/${trained.id}/metrics?limit=100` }),
  ];
  const read = () => kinds[turn++ % kinds.length]();
  const post = () => ({ name: 'POST job', method: 'POST', path: jobs, body: { ...body, auto_start: false } });
  const loads = {
    idle: [],
    reads: [{ rate: readRate, requests: read }],
    posts: [{ rate: postRate, requests: post }],
    both: [
      { rate: readRate, requests: read },
      { rate: postRate, requests: post },
    ],
  };
  await openLoop({ ...service, rate: 100, seconds: 5, requests: read });

  const rows = [];
  const names = values.phases.split(',');
  for (const [i, name] of names.entries()) {
    const length = minutes > 0 && i === names.length - 1 ? minutes * 60 : seconds;
    say(`${name} for ${length} s`);
    const from = { at: performance.now(), step: await step(), processor: await processorMs(service) };
    const memory = watchMemory(service.pids.api);
    const results = await Promise.all(loads[name].map((load) => openLoop({ ...service, ...load, seconds: length })));
    if (results.length === 0) await new Promise((over) => setTimeout(over, length * 1_000));
    const mib = memory();
    const processor = await processorMs(service);
    const stepsPerMinute = ((await step()) - from.step) / ((performance.now() - from.at) / 60_000);
    const all = results.flatMap(({ byName }) => [...byName].map(([kind, times]) => ({ kind, ...times.summary(), why: [...times.failed] })));
    const requests = all.reduce((sum, one) => sum + one.requests, 0);
    const perRequest = ['api', 'postgres'].map((part) => (processor[part] - from.processor[part]) / Math.max(1, requests));
    // Whether it grows: the mean of each tenth.
    const tenths = Array.from({ length: 10 }, (_, k) => {
      const part = mib.slice(Math.floor((k * mib.length) / 10), Math.floor(((k + 1) * mib.length) / 10));
      return Math.round(part.reduce((sum, one) => sum + one.mib, 0) / part.length);
    });
    rows.push({
      phase: name,
      seconds: length,
      stepsPerMinute,
      perRequest,
      lateMs: Math.max(0, ...results.map((r) => r.lateMs)),
      tenths,
      all,
    });
    say(JSON.stringify(rows.at(-1)));
  }

  const ms = (n) => (Number.isFinite(n) ? n.toFixed(1) : '-');
  const text = [
    `${cpus().length} cores (${cpus()[0].model}), Node ${process.version}, load average ${loadavg()[0].toFixed(1)} at the end; ${values['no-training'] ? 'nothing trains' : `${model} trains`}`,
    '',
    '| phase | request | number | errors | p50 ms | p95 ms | p99 ms | max ms |',
    '|---|---|---|---|---|---|---|---|',
    ...rows.flatMap(({ phase, all }) =>
      all.map((r) => `| ${phase} | ${r.kind} | ${r.requests} | ${r.errors} | ${ms(r.p50)} | ${ms(r.p95)} | ${ms(r.p99)} | ${ms(r.max)} |`),
    ),
    '',
    '| phase | seconds | processor ms a request, API and Postgres | steps of training a minute | driver late at worst, ms | memory of the API by tenths of the phase, MiB |',
    '|---|---|---|---|---|---|',
    ...rows.map(
      (r) =>
        `| ${r.phase} | ${r.seconds} | ${r.perRequest.map((one) => one.toFixed(2)).join(' + ')} | ${r.stepsPerMinute.toFixed(1)} | ${ms(r.lateMs)} | ${r.tenths.join(' ')} |`,
    ),
    ...rows.flatMap(({ phase, all }) => all.flatMap(({ kind, why }) => why.map(([what, n]) => `${phase}, ${kind}: ${n} times ${what}`))),
  ].join('\n');
  process.stdout.write(`${text}\n`);
  if (values.out) await writeFile(values.out, `${text}\n`);
} finally {
  await service.stop();
}
