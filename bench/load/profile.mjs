/** Preloaded into the service's processes (NODE_OPTIONS=--import=...): writes a CPU profile of the API when it ends, as `--cpu-prof` would, which NODE_OPTIONS refuses. */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';

if (process.argv[1]?.includes('apps/api/')) {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  // Not the start of the process, which is compilation.
  setTimeout(() => session.post('Profiler.start'), 20_000).unref();
  process.on('exit', () => {
    session.post('Profiler.stop', (error, result) => {
      if (error === null)
        writeFileSync(join(process.env.ROWSMITH_PROFILE, `api-${process.pid}.cpuprofile`), JSON.stringify(result.profile));
    });
  });
}
