/**
 * What the API answers under load while a job trains on the same cores.
 *   npm run bench:load -- [--seconds 60] [--minutes 0] [--reads 500] [--posts 50] [--phases idle,reads,posts,both] [--no-training] [--log-level warn] [--profile FOLDER] [--out FILE]
 * Starts `rowsmith up`, trains SmolLM2-135M, then drives: reads (a job, the list, events, metrics) and creations of jobs that are not started, each at a fixed
 * rate (load/open-loop.mjs). `--minutes` is the length of the last phase. The driver runs on the same cores too. There is no warming up: every phase is reported
 * with its first seconds and without them. What was measured until then is reported too when it is interrupted or fails.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { commandLine } from '../scripts/command-line.mjs';
import { openLoop, Times } from './load/open-loop.mjs';
import { reportOf } from './load/report.mjs';
import { processorMs, projectRoot, startService } from './load/service.mjs';
import { loopOf, probeLines, watchPool } from './load/watch-api.mjs';

const { values } = commandLine(import.meta.url, {
  options: {
    seconds: { type: 'string', default: '60' },
    minutes: { type: 'string', default: '0' },
    reads: { type: 'string', default: '500' },
    posts: { type: 'string', default: '50' },
    phases: { type: 'string', default: 'reads,posts,both' },
    'no-training': { type: 'boolean', default: false },
    'log-level': { type: 'string', default: 'warn' },
    profile: { type: 'string' },
    out: { type: 'string' },
  },
});
const [seconds, minutes, readRate, postRate] = ['seconds', 'minutes', 'reads', 'posts'].map((name) => Number(values[name]));
const model = 'smollm2-135m-instruct';
const waitForTrainingMs = 180_000;
const say = (line) => process.stderr.write(`${line}\n`);
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());

const probeFolder = await mkdtemp(join(tmpdir(), 'rowsmith-load-probe-'));
const preloads = [new URL('load/probe.mjs', import.meta.url), ...(values.profile ? [new URL('load/profile.mjs', import.meta.url)] : [])];
const service = await startService({
  NODE_OPTIONS: preloads.map(({ href }) => `--import=${href}`).join(' '),
  ROWSMITH_LOAD_PROBE: probeFolder,
  ROWSMITH_LOG_LEVEL: values['log-level'],
  ...(values.profile ? { ROWSMITH_PROFILE: resolve(values.profile) } : {}),
});
const rows = [];
try {
  const form = new FormData();
  form.set('purpose', 'fine-tune');
  form.set('file', new Blob([await readFile(join(projectRoot, 'examples/train.jsonl'))]), 'train.jsonl');
  const file = await service.json('/v1/files', { method: 'POST', body: form });
  // More epochs than can end before the measurement.
  const body = { model, training_file: file.id, hyperparameters: { n_epochs: 50 } };
  const trained = await service.post('/v1/fine_tuning/jobs', { ...body, auto_start: !values['no-training'], priority: 100 });
  const progress = async () => service.json(`/v1/fine_tuning/jobs/${trained.id}`);
  const step = async () => (await progress()).progress.step;
  if (!values['no-training']) {
    say('waiting for the job to train');
    const until = performance.now() + waitForTrainingMs;
    while ((await step()) < 3) {
      if (performance.now() > until)
        throw new Error(`the job did not train within ${waitForTrainingMs / 1_000} s: ${JSON.stringify(await progress())}`);
      await new Promise((next) => setTimeout(next, 1_000));
    }
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
  const payload = Buffer.from(JSON.stringify({ ...body, auto_start: false }));
  const post = () => ({ name: 'POST job', method: 'POST', path: jobs, payload });
  const loads = {
    idle: [],
    reads: [{ rate: readRate, requests: read }],
    posts: [{ rate: postRate, requests: post }],
    both: [
      { rate: readRate, requests: read },
      { rate: postRate, requests: post },
    ],
  };

  const names = values.phases.split(',');
  for (const [i, name] of names.entries()) {
    if (interrupted.signal.aborted) break;
    const length = minutes > 0 && i === names.length - 1 ? minutes * 60 : seconds;
    say(`${name} for ${length} s`);
    const from = { at: performance.now(), date: Date.now(), step: await step(), processor: await processorMs(service) };
    const pool = watchPool(service, length > 120 ? 15_000 : 5_000);
    const results = await Promise.all(
      loads[name].map((load) => openLoop({ ...service, ...load, seconds: length, stop: interrupted.signal })),
    );
    if (results.length === 0) await new Promise((over) => setTimeout(over, length * 1_000));
    const poolSeen = pool();
    const processor = await processorMs(service);
    const tookMs = performance.now() - from.at;
    const stepsPerMinute = ((await step()) - from.step) / (tookMs / 60_000);
    const kindsOf = results.flatMap(({ byName }) => [...byName]);
    const loadsOf = results.map(({ byName, tookMs: answeredMs }, k) => {
      const times = Times.together([...byName.values()]);
      const { requests, errors } = times.summary();
      return { times, wanted: loads[name][k].rate, completed: (requests - errors) / (answeredMs / 1_000) };
    });
    const answered = loadsOf.reduce((sum, { times }) => sum + times.summary().requests - times.summary().errors, 0);
    const lines = (await probeLines(probeFolder)).filter(({ at }) => at > from.date && at <= from.date + tookMs + 500);
    rows.push({
      ...{ phase: name, seconds: length, kinds: kindsOf, loads: loadsOf, lines, pool: poolSeen, stepsPerMinute },
      perRequest: Object.fromEntries(
        ['api', 'apiSystem', 'postgres', 'driver'].map((part) => [part, (processor[part] - from.processor[part]) / Math.max(1, answered)]),
      ),
      backends: processor.backends,
      lateMs: Math.max(0, ...results.map((r) => r.lateMs)),
      loop: loopOf(lines),
    });
    say(loadsOf.map(({ times, completed }) => `${completed.toFixed(1)}/s ${JSON.stringify(times.summary())}`).join('\n'));
  }
} finally {
  const text = reportOf(rows, values['no-training'] ? 'nothing trains' : `${model} trains`);
  process.stdout.write(`${text}\n`);
  if (values.out) await writeFile(values.out, `${text}\n`);
  await service.stop();
  await rm(probeFolder, { recursive: true });
}
