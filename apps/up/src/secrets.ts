/** Secrets of one data folder, made once and kept in files that only their owner can read. */
import { randomBytes } from 'node:crypto';
import { chmod, link, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { base62FromBytes, newId } from '@rowsmith/contracts';

/** The kept value of `file`, or `make()` stored with mode 0600. Two processes at once agree on one value: link() lets only the first win. */
async function keptSecret(file: string, make: () => string): Promise<{ readonly value: string; readonly fresh: boolean }> {
  try {
    return { value: (await readFile(file, 'utf8')).trim(), fresh: false };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const value = make();
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(temporary, `${value}\n`, { mode: 0o600, flag: 'wx' });
  await chmod(temporary, 0o600);
  try {
    await link(temporary, file);
    return { value, fresh: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return { value: (await readFile(file, 'utf8')).trim(), fresh: false };
  } finally {
    await unlink(temporary);
  }
}

export interface Secrets {
  readonly apiKey: string;
  /** Made just now: the only time it is shown. */
  readonly apiKeyIsFresh: boolean;
  readonly apiKeyFile: string;
  /** Key of the HMAC under which API keys are stored; never leaves this machine. */
  readonly pepper: string;
  /** Not a secret, but kept like one: under it a restarted worker finds what its killed predecessor held. */
  readonly workerId: string;
}

/** `given` is used as it is and not stored; the pepper is always the kept one, or stored keys would stop working. */
export async function openSecrets(dataDir: string, given: string | null): Promise<Secrets> {
  const pepper = await keptSecret(join(dataDir, 'pepper'), () => randomBytes(32).toString('hex'));
  const workerId = (await keptSecret(join(dataDir, 'worker-id'), () => newId('worker', randomBytes))).value;
  const apiKeyFile = join(dataDir, 'api-key');
  if (given !== null) return { apiKey: given, apiKeyIsFresh: false, apiKeyFile, pepper: pepper.value, workerId };
  const key = await keptSecret(apiKeyFile, () => `rsk_${base62FromBytes(randomBytes(96), 40)}`);
  return { apiKey: key.value, apiKeyIsFresh: key.fresh, apiKeyFile, pepper: pepper.value, workerId };
}
