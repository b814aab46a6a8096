import { descriptionName, rowsFileName } from '@rowsmith/adapter';
import type { AdapterManifest } from '@rowsmith/contracts';
import type { TarEntry } from './tar.js';

export const adapterFormats = ['peft', 'rows'] as const;
export type AdapterFormat = (typeof adapterFormats)[number];

/** rows: the rows as trained, and what they belong to. peft: the folder that PEFT loads. Names are unique over both. */
export function filesOfFormat(manifest: AdapterManifest, format: AdapterFormat): readonly TarEntry[] {
  if (format === 'rows') return manifest.files.filter((file) => file.name === rowsFileName || file.name === descriptionName);
  return manifest.files.filter((file) => file.name !== rowsFileName);
}
