/** `rowsmith models add`, as a program of its own. */
import { addModelProgram } from './packed/add-model-program.js';

process.exitCode = await addModelProgram(process.argv.slice(2), {
  env: process.env,
  out: process.stdout,
  err: process.stderr,
  now: () => Math.floor(Date.now() / 1000),
});
