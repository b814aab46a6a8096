import { open } from 'node:fs/promises';

/** Texts beside a model are megabytes at most; a file that is larger is no such text, whatever its name says. */
export const maxTextFileBytes = 128 * 2 ** 20;

/** The text of a file, its size asked before a byte is read. Throws RangeError beyond `maxTextFileBytes`, else what the system says. */
export async function readLimited(path: string): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > maxTextFileBytes) throw new RangeError(`is longer than ${maxTextFileBytes} bytes`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}
