import { descriptionName, rowsFileName } from '@rowsmith/adapter';
import type { AdapterManifest } from '@rowsmith/contracts';
import { notPossible } from '../http/api-error.js';
import type { TarEntry } from './tar.js';

export const adapterFormats = ['peft', 'rows'] as const;
export type AdapterFormat = (typeof adapterFormats)[number];

/** Known by name, made by the client: a merged model needs the base's weights, which lie where it is run, and GGUF the converter of the llama.cpp that reads it. */
const madeByClients = {
  merged:
    "A merged model is the size of its base and is not made here: download format=peft and merge it with PEFT, PeftModel.from_pretrained(base, '<folder>').merge_and_unload().save_pretrained('<merged>').",
  gguf: "An adapter in GGUF is made by llama.cpp: download format=peft, then run 'python convert_lora_to_gguf.py <folder> --base <Hugging Face folder of the base> --outfile adapter.gguf'.",
} as const;
type Refused = keyof typeof madeByClients;
/** What a request may name. */
export const namedFormats = [...adapterFormats, ...(Object.keys(madeByClients) as Refused[])] as const;

/** Throws ApiError 400 that says how the asked for form is made. */
export function servedFormat(format: AdapterFormat | Refused = 'peft'): AdapterFormat {
  if (format !== 'merged' && format !== 'gguf') return format;
  const message = `${madeByClients[format]} Both are written out in docs/openai-compatibility.md.`;
  throw notPossible(message, 'format_not_served', 'format');
}

/** rows: the rows as trained, and what they belong to. peft: the folder that PEFT loads. Names are unique over both. */
export function filesOfFormat(manifest: AdapterManifest, format: AdapterFormat): readonly TarEntry[] {
  if (format === 'rows') return manifest.files.filter((file) => file.name === rowsFileName || file.name === descriptionName);
  return manifest.files.filter((file) => file.name !== rowsFileName);
}
