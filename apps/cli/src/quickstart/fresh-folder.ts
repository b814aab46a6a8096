import { readdir } from 'node:fs/promises';

/** `wanted`, or `wanted-2`, `wanted-3` ... : an earlier run's adapter is never overwritten. */
export async function freshFolder(wanted: string): Promise<string> {
  for (let n = 1; ; n += 1) {
    const folder = n === 1 ? wanted : `${wanted}-${n}`;
    const used = await readdir(folder).then(
      (names) => names.length > 0,
      () => false,
    );
    if (!used) return folder;
  }
}
