import { exitCodes } from './exit.js';
import { buildProgram } from './program.js';
import { reportError } from './report-error.js';

// A reader that has seen enough (`rowsmith jobs events ... | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(exitCodes.ok);
});

const json = process.argv.includes('--json');
const program = buildProgram((error) => process.exit(error.exitCode === 0 ? exitCodes.ok : exitCodes.usage), json);
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportError(error, { json });
}
