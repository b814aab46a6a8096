/**
 * npm run goals -- --queue redis|postgres --storage fs|s3 --times 10 --goals 3,4: how long the service takes after each kind of trouble (docs/reliability.md, goals 2 to 5, 7, and with --storage s3 10).
 * One JSON line a figure. Needs the built programs (npx tsc -b).
 */
import { measureGoals } from '@rowsmith/testkit';
import { commandLine } from './command-line.mjs';

const { values, wrongUse } = commandLine(import.meta.url, {
  options: {
    queue: { type: 'string', default: 'postgres', oneOf: ['redis', 'postgres'] },
    storage: { type: 'string', default: 'fs', oneOf: ['fs', 's3'] },
    times: { type: 'string', default: '10' },
    goals: { type: 'string' },
  },
});
const times = Number(values.times);
if (!Number.isSafeInteger(times) || times < 1) wrongUse(`--times must be a whole number above 0, not '${values.times}'`);
const { queue, storage } = values;
const only = values.goals?.split(',').map(Number);
if (only?.some((goal) => ![2, 3, 4, 5, 7, 10].includes(goal)))
  wrongUse('--goals takes numbers of 2, 3, 4, 5, 7 and 10, with commas between');
const violations = await measureGoals({
  ...{ queue, storage, times, ...(only && { only }) },
  log: (fields) => process.stdout.write(`${JSON.stringify(fields)}\n`),
});
process.exit(violations.length === 0 ? 0 : 1);
