/**
 * npm run goals -- --queue redis|postgres --storage fs|s3 --times 10 --goals 3,4: how long the service takes after each kind of trouble (docs/reliability.md, goals 2 to 5 and 7).
 * One JSON line a figure. Needs the built programs (npx tsc -b).
 */
import { parseArgs } from 'node:util';
import { measureGoals } from '@rowsmith/testkit';

const { values } = parseArgs({
  options: {
    queue: { type: 'string', default: 'postgres' },
    storage: { type: 'string', default: 'fs' },
    times: { type: 'string', default: '10' },
    goals: { type: 'string' },
  },
});
const times = Number(values.times);
if (!['redis', 'postgres'].includes(values.queue)) throw new Error('--queue must be redis or postgres');
if (!['fs', 's3'].includes(values.storage)) throw new Error('--storage must be fs or s3');
if (!Number.isSafeInteger(times) || times < 1) throw new Error(`--times must be a whole number above 0, not "${values.times}"`);
const { queue, storage } = values;
const only = values.goals?.split(',').map(Number);
if (only?.some((goal) => ![2, 3, 4, 5, 7].includes(goal)))
  throw new Error('--goals takes numbers of 2, 3, 4, 5 and 7, with commas between');
const violations = await measureGoals({
  ...{ queue, storage, times, ...(only && { only }) },
  log: (fields) => process.stdout.write(`${JSON.stringify(fields)}\n`),
});
process.exit(violations.length === 0 ? 0 : 1);
