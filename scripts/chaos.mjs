/**
 * npm run chaos -- --queue redis|postgres --storage fs|s3 --faults 150 --seed 1 [--workers 2] [--open-jobs 3] [--steps 16] [--seconds 600] [--patience 180] [--only kill.worker,kill.trainer] [--keep]
 * [--faketime /path/libfaketime.so.1]: breaks a whole installation in every way it knows while jobs run, then judges every job.
 * One JSON line a fault; exit code 1 and the first broken rule when one was broken. Needs the built programs (npx tsc -b).
 */
import { faultKinds, installedFakeTime, runChaos } from '@rowsmith/testkit';
import { commandLine } from './command-line.mjs';

const { values, wrongUse } = commandLine(import.meta.url, {
  options: {
    queue: { type: 'string', default: 'postgres', oneOf: ['redis', 'postgres'] },
    storage: { type: 'string', default: 'fs', oneOf: ['fs', 's3'] },
    faults: { type: 'string', default: '150' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    'open-jobs': { type: 'string', default: '3' },
    steps: { type: 'string', default: '16' },
    seconds: { type: 'string' },
    patience: { type: 'string' },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
    faketime: { type: 'string' },
  },
});
const whole = (name) => {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < 1) wrongUse(`--${name} must be a whole number above 0, not '${values[name]}'`);
  return value;
};

const only = values.only?.split(',');
for (const kind of only ?? []) if (!faultKinds.includes(kind)) wrongUse(`--only: '${kind}' is none of ${faultKinds.join(', ')}`);

const line = (fields) => process.stdout.write(`${JSON.stringify(fields)}\n`);
const report = await runChaos({
  ...{ queue: values.queue, storage: values.storage, faults: whole('faults'), seed: whole('seed') },
  ...{
    workers: whole('workers'),
    openJobs: whole('open-jobs'),
    steps: whole('steps'),
    keep: values.keep,
    fakeTime: values.faketime ?? installedFakeTime(),
  },
  ...(values.patience ? { patienceMs: 1_000 * whole('patience') } : {}),
  ...(values.seconds ? { seconds: whole('seconds') } : {}),
  ...(only ? { only } : {}),
  log: line,
});
line({ report, queue: values.queue, storage: values.storage, seed: values.seed });
const [first] = report.violations;
if (first) {
  process.stderr.write(`Broken: ${first.rule}${first.job ? ` (${first.job})` : ''}: ${first.found}\n`);
  process.exitCode = 1;
}
// Everything is closed by now: a process that does not end has left a handle open, which is a broken rule too.
setTimeout(() => {
  process.stderr.write(`Broken: no handle stays open: ${process.getActiveResourcesInfo().join(' ')}\n`);
  process.exit(1);
}, 15_000).unref();
