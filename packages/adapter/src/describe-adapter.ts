import { type AdapterManifest, canonicalJson } from '@rowsmith/contracts';

/** The manifest without where and by which attempt the files were stored: travels inside the adapter's folder. */
export type AdapterDescription = Omit<AdapterManifest, 'files'>;
export const descriptionName = 'rowsmith.json';

/** Bytes of `rowsmith.json`, beside PEFT's files: what PEFT's own configuration has no field for. The same for every attempt of a job. */
export function describeAdapter(description: AdapterDescription): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(JSON.parse(canonicalJson(description)), null, 2)}\n`);
}
