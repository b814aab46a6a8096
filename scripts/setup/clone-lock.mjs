import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { root } from './paths.mjs';

const path = join(root, '.setup.lock');
const pollMs = 500;

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Two set-ups of one clone would delete each other's node_modules. The lock of a process that is gone is taken over. @param {(pid: number) => void} onWait */
export async function lockClone(onWait) {
  let told = false;
  for (;;) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(String(process.pid));
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const pid = Number(await readFile(path, 'utf8').catch(() => ''));
    if (pid > 0 && !isAlive(pid)) await rm(path, { force: true });
    else {
      if (!told) onWait(pid);
      told = true;
      await wait(pollMs);
    }
  }
}
