import { existsSync } from 'node:fs';

/** Where Debian and Ubuntu's package `libfaketime` puts the library of threaded programs; null: it is not installed. */
export function installedFakeTime(): string | null {
  const folders = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((triple) => `/usr/lib/${triple}/faketime`);
  return folders.map((folder) => `${folder}/libfaketimeMT.so.1`).find((path) => existsSync(path)) ?? null;
}
