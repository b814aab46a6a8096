import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { NativeError } from './errors.js';

/** Folders of the npm packages that set-up completes, as Node resolves them from here. */
export interface InstalledPackages {
  readonly tfjs: string;
  readonly nodeApi: string;
  readonly nodeApiHeadersVersion: string;
}

export function findInstalledPackages(): InstalledPackages {
  const require = createRequire(import.meta.url);
  try {
    const nodeApiManifest = require.resolve('node-api-headers/package.json');
    const { version } = JSON.parse(readFileSync(nodeApiManifest, 'utf8')) as { version: string };
    return {
      tfjs: dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json')),
      nodeApi: dirname(nodeApiManifest),
      nodeApiHeadersVersion: version,
    };
  } catch (error) {
    throw new NativeError('native_not_set_up', 'The npm packages are not installed', 'run `npm run setup`', error);
  }
}

export const bindingSources = (packages: InstalledPackages): string => join(packages.tfjs, 'binding');
export const nodeApiHeaders = (packages: InstalledPackages): string => join(packages.nodeApi, 'include');
