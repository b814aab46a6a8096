/** Python packages that tests drive the service with: a virtual environment for each set, made once and kept in the cache. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export class PythonEnvironmentError extends Error {
  override readonly name = 'PythonEnvironmentError';
}

const cacheFolder = (env: NodeJS.ProcessEnv) =>
  env['ROWSMITH_CACHE'] || join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'rowsmith');

/**
 * Path of an interpreter that has exactly these requirements (`openai==3.54.0`) and what they need. The first call installs them with pip, which
 * needs a package index; ROWSMITH_PYTHON names the Python to start from. Throws PythonEnvironmentError that says what is missing.
 */
export async function pythonWith(requirements: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const base = env['ROWSMITH_PYTHON'] || 'python3';
  const version = await run(base, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).catch((cause: unknown) => {
    throw new PythonEnvironmentError(`there is no '${base}': install Python 3.10 or newer, or name one in ROWSMITH_PYTHON`, { cause });
  });
  const name = createHash('sha256')
    .update([version.stdout.trim(), ...requirements].join('\n'))
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheFolder(env), 'python', name);
  const interpreter = join(folder, 'bin', 'python');
  if (existsSync(interpreter)) return interpreter;
  const fresh = `${folder}.tmp-${process.pid}`;
  try {
    await mkdir(join(folder, '..'), { recursive: true });
    await run(base, ['-m', 'venv', fresh]);
    // Called as a module: the scripts of an environment name its folder, which changes below.
    await run(join(fresh, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', ...requirements], { maxBuffer: 2 ** 24 });
    // Somebody else may have been first; theirs is the same.
    await rename(fresh, folder).catch((error: unknown) => {
      if (!existsSync(interpreter)) throw error;
    });
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string };
    const reason = stderr.trim().split('\n').slice(-3).join('\n') || (cause as Error).message;
    throw new PythonEnvironmentError(
      `'${base} -m venv' and 'pip install ${requirements.join(' ')}' did not work; they need the venv and pip modules and a package index:\n${reason}`,
      { cause },
    );
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return interpreter;
}
