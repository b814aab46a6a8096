import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { ModelError } from '../errors.js';
import { bertModel, isBert } from '../families/bert.js';
import { packedPlan } from '../families/packed-plan.js';
import type { ImportedModel } from '../imported-model.js';
import { openSafetensors } from '../safetensors/read.js';
import { openSharded, shardNames } from '../safetensors/sharded.js';
import { templateSource } from '../text/chat-template.js';
import { tokenizerFromJson } from '../text/tokenizer.js';
import { normsPlusOne } from './norms-plus-one.js';
import { readHfConfig } from './read-config.js';

type Json = Readonly<Record<string, unknown>>;
const maxJsonBytes = 128 * 2 ** 20;

/** Where a folder came from, when not from the user's disk. */
export interface FolderOrigin {
  readonly kind: 'folder' | 'hub';
  readonly name: string;
  readonly revision: string | null;
}

/** Opens a Hugging Face folder (config.json, tokenizer.json, safetensors) as a model. */
export async function importFolder(dir: string, origin?: FolderOrigin): Promise<ImportedModel> {
  const name = origin?.name ?? basename(resolve(dir));
  const files = await weightFiles(dir);
  const raw = await readText(dir, 'config.json');
  const json = parseObject(raw, 'config.json');
  const decoder = isBert(json) ? null : readHfConfig(json, await optionalJson(dir, 'generation_config.json'), 'config.json');
  const tokenizerJson = await readText(dir, 'tokenizer.json');
  const tokenizer = tokenizerFromJson(tokenizerJson);
  const stored = await files.open();
  try {
    const model = decoder ?? bertModel(json, stored, 'config.json');
    const { config } = model;
    if (tokenizer.vocabSize > config.vocab_size) {
      throw new ModelError('bad_tokenizer', `has ${tokenizer.vocabSize} tokens, the model only ${config.vocab_size}`, {
        file: 'tokenizer.json',
      });
    }
    const tensors = decoder?.family.normsPlusOne ? normsPlusOne(stored) : stored;
    const plan = () => ('family' in model ? packedPlan(model.family, model.config, tensors, name) : model.plan(name));
    return {
      ...{ kind: origin?.kind ?? 'folder', name, revision: origin?.revision ?? null, config, tensors, plan },
      weightFiles: files.names.map((label) => ({ label, path: join(dir, label) })),
      documents: { 'config.json': raw, 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': await tokenizerConfig(dir) },
    };
  } catch (error) {
    await stored.close();
    throw error;
  }
}

/** tokenizer_config.json with the template of chat_template.jinja (transformers 5) moved into it. */
async function tokenizerConfig(dir: string): Promise<string> {
  const file = 'tokenizer_config.json';
  const config = await optionalJson(dir, file);
  const jinja = (await isFile(join(dir, 'chat_template.jinja'))) ? await readText(dir, 'chat_template.jinja') : null;
  const template = jinja ?? templateSource(config, file);
  const { chat_template: _, ...rest } = config;
  return `${JSON.stringify(template === null ? rest : { ...rest, chat_template: template }, null, 2)}\n`;
}

async function weightFiles(dir: string) {
  if (!(await stat(dir)).isDirectory()) throw new ModelError('missing_file', 'is not a folder', { file: dir });
  const single = 'model.safetensors';
  const indexName = `${single}.index.json`;
  if (await isFile(join(dir, single))) return { names: [single], open: () => openSafetensors(join(dir, single), single) };
  if (await isFile(join(dir, indexName))) {
    const index = shardNames(parseObject(await readText(dir, indexName), indexName)['weight_map'], indexName);
    return { names: index.shards, open: () => openSharded(dir, index) };
  }
  const pickled = (await readdir(dir)).find((entry) => isPickle(entry));
  if (pickled) throw pickleRefused(pickled);
  throw new ModelError('missing_file', `has neither ${single} nor ${indexName}`, { file: dir });
}

export const isPickle = (name: string) => /\.(?:bin|pt|pth|ckpt|pkl)$/i.test(name);
export const pickleRefused = (file: string) =>
  new ModelError(
    'pickle_refused',
    'is a pickle file: opening one runs code from inside it, so it is never read. Convert it where you trust it: model.save_pretrained(folder, safe_serialization=True)',
    { file },
  );

const isFile = (path: string) =>
  stat(path).then(
    (s) => s.isFile(),
    () => false,
  );

async function readText(dir: string, file: string): Promise<string> {
  try {
    const found = await stat(join(dir, file));
    if (!found.isFile()) throw new ModelError('missing_file', 'is not a regular file', { file });
    const { size } = found;
    if (size > maxJsonBytes) throw new ModelError('bad_config', `is ${size} bytes long; at most ${maxJsonBytes} are accepted`, { file });
    return await readFile(join(dir, file), 'utf8');
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new ModelError('missing_file', 'is missing', { file: join(dir, file), cause });
    throw new ModelError('disk', (cause as Error).message, { file, cause });
  }
}

async function optionalJson(dir: string, file: string): Promise<Json> {
  return (await isFile(join(dir, file))) ? parseObject(await readText(dir, file), file) : {};
}

function parseObject(text: string, file: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelError('bad_config', `is not JSON (${(cause as Error).message})`, { file, cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ModelError('bad_config', 'is not a JSON object', { file });
  return value as Json;
}
