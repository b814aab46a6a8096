/**
 * From the start of the trainer's process to its first step, phase by phase, as a worker starts it: a chat file in a store, rows of every linear, a packed model.
 *   node bench/startup.mjs [--rounds 5] [--batch 4] [--scorer l2] [--rows 32]
 * Prints the median and the best second at which the first step began and had ended, then that of each message, then how long steps took. `--program` names the
 * main.js of another build, to be measured in turn with this one. Needs `npm run build` and `npm run setup`.
 */
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '@rowsmith/native';
import { commandLine } from '../scripts/command-line.mjs';
import { attempt, builtTrainer, specOf } from './trainer/attempt.mjs';

const { values } = commandLine(import.meta.url, {
  options: {
    rounds: { type: 'string', default: '5' },
    batch: { type: 'string', default: '4' },
    rows: { type: 'string', default: '32' },
    scorer: { type: 'string', default: 'l2' },
    program: { type: 'string', multiple: true, default: [] },
    model: { type: 'string', default: join(cacheFolder(), 'models', 'smollm2-135m-instruct') },
  },
});
const programs = [builtTrainer, ...values.program];
const spec = await specOf(values.model, { batch: Number(values.batch), rows: Number(values.rows), scorer: values.scorer, max_steps: 3 });

/** [what, seconds since the process was started, of the processor][], and the seconds of its steps. */
async function marksOf(program) {
  const began = performance.now();
  const marks = [];
  const steps = [];
  await attempt(program, values.model, spec, (message, child) => {
    // utime and stime; on a busy machine they say more than the clock about what is done by one thread.
    const processor = () => {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    };
    const mark = (what) => marks.push([what, (performance.now() - began) / 1000, processor()]);
    if (message.type === 'phase') mark(`${message.phase} begins`);
    if (message.type === 'planned') mark('rows chosen');
    if (message.type !== 'metric' || message.point.train_loss === null) return;
    steps.push(message.point.seconds);
    if (message.point.step === 1) mark('first step done');
  });
  return { marks, steps };
}

const rounds = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const results = [];
  for (const program of programs) results.push(await marksOf(program));
  rounds.push(results);
}
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const row = (what, times, used) =>
  console.log(`| ${what} | ${median(times).toFixed(2)} | ${Math.min(...times).toFixed(2)} | ${used ? median(used).toFixed(2) : ''} |`);
const load = loadavg().map((value) => value.toFixed(1));
console.log(`load ${load.join(', ')}; ${rounds.length} rounds; batch ${values.batch}, scorer ${values.scorer}, rows ${values.rows}`);
for (const [side, program] of programs.entries()) {
  const runs = rounds.map((results) => results[side]);
  if (programs.length > 1) console.log(`\n${program}`);
  console.log('| | median, s | best, s | processor, s |\n| --- | --- | --- | --- |');
  const done = runs.map(({ marks }) => marks.find(([what]) => what === 'first step done'));
  row(
    '**until the first step begins**',
    done.map(([, seconds], i) => seconds - runs[i].steps[0]),
    runs.map(({ marks }) => marks.find(([what]) => what === 'training begins')[2]),
  );
  row(
    '**until the first step has ended**',
    done.map(([, seconds]) => seconds),
    done.map(([, , used]) => used),
  );
  for (const [i, [what]] of runs[0].marks.entries()) {
    row(
      what,
      runs.map(({ marks }) => marks[i][1]),
      runs.map(({ marks }) => marks[i][2]),
    );
  }
  for (const [i, name] of ['first step alone', 'second step', 'third step'].entries())
    row(
      name,
      runs.map(({ steps }) => steps[i]),
    );
}
