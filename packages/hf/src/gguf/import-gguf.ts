import type { DecoderConfig } from '@rowsmith/contracts';
import { ModelError } from '../errors.js';
import type { DecoderFamily, GgufDescription } from '../families/decoder-family.js';
import { families } from '../families/families.js';
import { packedPlan } from '../families/packed-plan.js';
import type { ImportedModel } from '../imported-model.js';
import { ggufConfig } from './gguf-config.js';
import { openGguf } from './gguf-files.js';
import { type FiledTensor, ggufTensors, storedRows } from './gguf-tensors.js';
import { ggufTokenizer } from './gguf-tokenizer.js';
import type { Metadata } from './metadata.js';

/** Opens a GGUF file, or all parts of a split one, as a model. Everything but the weights is read and checked here. */
export async function importGguf(path: string): Promise<ImportedModel & { readonly config: DecoderConfig }> {
  const { metadata, tensors, files, close } = await openGguf(path);
  try {
    const { family, gguf } = findFamily(metadata);
    const tokenizer = ggufTokenizer(metadata, gguf.architecture);
    const described = new Map<string, Float32Array>();
    for (const name of gguf.described) {
      const tensor = tensors.get(name);
      if (!tensor) continue;
      if (tensor.shape.length !== 1) throw new ModelError('bad_gguf', `tensor ${name} is not a vector`, { file: metadata.file });
      described.set(name, await storedRows(tensor, 0, tensor.shape[0] as number));
    }
    const { config, document } = ggufConfig(family, gguf, metadata, tensors, described, tokenizer.size);
    const named = hfNames(gguf, config.n_layers, tensors);
    const interleaved = new Set([...named.keys()].filter((n) => gguf.interleaved.some((i) => sameName(i, n))));
    const source = ggufTensors(named, interleaved, config.head_dim, close);
    return {
      kind: 'gguf',
      name: metadata.file,
      revision: null,
      config,
      tensors: source,
      plan: () => packedPlan(family, config, source, metadata.file),
      weightFiles: files,
      documents: {
        'config.json': document,
        'tokenizer.json': tokenizer.tokenizerJson,
        'tokenizer_config.json': tokenizer.tokenizerConfigJson,
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function findFamily(metadata: Metadata): { readonly family: DecoderFamily; readonly gguf: GgufDescription } {
  const architecture = metadata.string('general.architecture');
  for (const family of families) if (family.gguf?.architecture === architecture) return { family, gguf: family.gguf };
  const known = families.flatMap((f) => f.gguf?.architecture ?? []).join(', ');
  throw new ModelError('unsupported', `general.architecture ${JSON.stringify(architecture)} is not supported (supported: ${known})`, {
    file: metadata.file,
  });
}

const kinds = ['weight', 'bias'];
const sameName = (pattern: string, name: string) =>
  kinds.some((kind) => name.replace(/\.layers\.\d+\./, '.layers.{i}.') === `${pattern}.${kind}`);

/** Tensors under Hugging Face names; what has no such name keeps its own, and is refused when the plan is made. */
function hfNames(gguf: GgufDescription, layers: number, tensors: ReadonlyMap<string, FiledTensor>): Map<string, FiledTensor> {
  const toHf = new Map<string, string>();
  for (const [hf, inFile] of Object.entries(gguf.tensors)) {
    const times = hf.includes('{i}') ? layers : 1;
    for (let i = 0; i < times; i++)
      for (const kind of kinds) toHf.set(`${inFile.replace('{i}', String(i))}.${kind}`, `${hf.replace('{i}', String(i))}.${kind}`);
  }
  return new Map([...tensors].filter(([name]) => !gguf.described.includes(name)).map(([name, tensor]) => [toHf.get(name) ?? name, tensor]));
}
