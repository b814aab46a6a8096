import { basename } from 'node:path';
import type { DecoderConfig } from '@rowsmith/contracts';
import { ByteSource } from '../byte-source.js';
import { ModelError } from '../errors.js';
import { families } from '../families/decoder-family.js';
import type { ImportedModel } from '../imported-model.js';
import { ggufConfig } from './gguf-config.js';
import { ggufTensors } from './gguf-tensors.js';
import { ggufTokenizer } from './gguf-tokenizer.js';
import { type GgufHeader, readGgufHeader } from './header.js';
import { Metadata } from './metadata.js';

/** Opens one GGUF file as a model. Everything but the weights is read and checked here. */
export async function importGguf(path: string): Promise<ImportedModel> {
  const file = basename(path);
  const source = await ByteSource.open(path, file);
  try {
    const header = await readGgufHeader(source);
    const metadata = new Metadata(header.metadata, file);
    if (metadata.number('split.count', 1) > 1) {
      throw new ModelError('unsupported', 'is one part of a split model; join the parts first (llama-gguf-split --merge)', { file });
    }
    const architecture = metadata.string('general.architecture');
    const family = families.find((f) => f.gguf.architecture === architecture);
    if (!family) {
      const known = families.map((f) => f.gguf.architecture).join(', ');
      throw new ModelError('unsupported', `general.architecture ${JSON.stringify(architecture)} is not supported (supported: ${known})`, {
        file,
      });
    }
    const tokenizer = ggufTokenizer(metadata);
    const { config, document } = ggufConfig(family, metadata, header, tokenizer.size);
    const names = tensorNames(family.gguf.tensors, config.n_layers, header);
    const interleaved = new Set([...names.keys()].filter((n) => family.gguf.interleaved.some((i) => sameName(i, n))));
    return {
      kind: 'gguf',
      name: file,
      revision: null,
      family,
      config,
      tensors: ggufTensors(source, header, names, interleaved, config.head_dim),
      weightFiles: [{ label: file, path }],
      documents: {
        'config.json': document,
        'tokenizer.json': tokenizer.tokenizerJson,
        'tokenizer_config.json': tokenizer.tokenizerConfigJson,
      },
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

const sameName = (pattern: string, name: string) => name.replace(/\.layers\.\d+\./, '.layers.{i}.') === `${pattern}.weight`;

/** Hugging Face name -> file name for every tensor in the file; what has no Hugging Face name keeps its own, and is refused when the plan is made. */
function tensorNames(
  patterns: Readonly<Record<string, string>>,
  layers: DecoderConfig['n_layers'],
  header: GgufHeader,
): Map<string, string> {
  const toHf = new Map<string, string>();
  for (const [hf, gguf] of Object.entries(patterns)) {
    const times = hf.includes('{i}') ? layers : 1;
    for (let i = 0; i < times; i++) toHf.set(`${gguf.replace('{i}', String(i))}.weight`, `${hf.replace('{i}', String(i))}.weight`);
  }
  return new Map([...header.tensors.keys()].map((name) => [toHf.get(name) ?? name, name]));
}
