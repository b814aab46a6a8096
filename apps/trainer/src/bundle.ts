/** The trainer's modules as one file: a thousand small files cost 0.4 s of processor time before the first line runs. Made by `npm run build`. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const bundleProgram = 'attempt-process.js';
export const bundleInputs = 'inputs.json';

/** What a bundle was made of; written beside it. */
export interface BundleInputs {
  /** Compiled modules: path relative to the bundle's folder, bytes. */
  readonly files: readonly (readonly [string, number])[];
  /** Packages within: path of their package.json, likewise, and version. */
  readonly packages: readonly (readonly [string, string])[];
}

/**
 * URL of the bundle in `folder`; null when there is none, or when it is not one of the modules as they are now: one was compiled after it or has another size, or
 * a package has another version. Then the modules are loaded one by one, as they are without a bundle.
 */
export function freshBundle(folder: string): string | null {
  try {
    const { files, packages } = JSON.parse(readFileSync(join(folder, bundleInputs), 'utf8')) as BundleInputs;
    const program = join(folder, bundleProgram);
    const made = statSync(program).mtimeMs;
    for (const [path, bytes] of files) {
      const { mtimeMs, size } = statSync(join(folder, path));
      if (mtimeMs > made || size !== bytes) return null;
    }
    for (const [path, version] of packages) {
      const manifest = JSON.parse(readFileSync(join(folder, path), 'utf8')) as { readonly version?: unknown };
      if (manifest.version !== version) return null;
    }
    return pathToFileURL(program).href;
  } catch {
    return null;
  }
}
