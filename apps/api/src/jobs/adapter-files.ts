import type { AdapterManifest } from '@rowsmith/contracts';
import type { TarEntry } from './tar.js';

export const adapterFormats = ['peft', 'rows'] as const;
export type AdapterFormat = (typeof adapterFormats)[number];

export const filesOfFormat = (manifest: AdapterManifest, format: AdapterFormat): readonly TarEntry[] =>
  manifest.files.filter((f) => (f.name === 'rows.safetensors') === (format === 'rows'));
