/** Training files as people name them: a path is uploaded, anything else is taken for a file id; `=2` behind it is its weight. */
import { existsSync } from 'node:fs';
import type { RowsmithClient } from '@rowsmith/client';
import type { CreateJobBody } from '@rowsmith/contracts';
import { CliError, exitCodes } from '../exit.js';
import { note } from './context.js';
import { isObject, type JsonObject } from './settings.js';

/** `a.jsonl=2` -> name and weight; a path that exists with its `=` is a path. */
export function weighted(text: string): { readonly file: string; readonly weight?: number } {
  const match = existsSync(text) ? null : /^(.+)=([0-9.]+)$/.exec(text);
  return match === null ? { file: text } : { file: String(match[1]), weight: Number(match[2]) };
}

/** One file without a weight is OpenAI's `training_file`. */
export function filesOfFlags(training: readonly string[] = [], validation?: string): JsonObject {
  const files = training.map(weighted);
  const [first] = files;
  return {
    ...(first === undefined
      ? {}
      : files.length === 1 && first.weight === undefined
        ? { training_file: first.file }
        : { training_files: files }),
    ...(validation === undefined ? {} : { validation_file: validation }),
  };
}

/** The body with paths replaced by the ids of the uploaded files; the same path is uploaded once. */
export async function uploadNamed(client: RowsmithClient, body: JsonObject): Promise<CreateJobBody> {
  const known = new Map<string, string>();
  const idOf = async (name: unknown): Promise<unknown> => {
    if (typeof name !== 'string') return name;
    const before = known.get(name);
    if (before !== undefined) return before;
    if (!existsSync(name)) {
      if (name.startsWith('file-')) return name;
      throw new CliError(`${name}: no such file, and not a file id (file-...)`, exitCodes.usage);
    }
    const { id } = await client.uploadFile(name);
    note(`Uploaded ${name} as ${id}`);
    known.set(name, id);
    return id;
  };
  const resolved: Record<string, unknown> = { ...body };
  for (const field of ['training_file', 'validation_file']) if (field in body) resolved[field] = await idOf(body[field]);
  if (Array.isArray(body['training_files'])) {
    const files: unknown[] = [];
    for (const entry of body['training_files'] as unknown[])
      files.push(isObject(entry) ? { ...entry, file: await idOf(entry['file']) } : entry);
    resolved['training_files'] = files;
  }
  // Names such as the scorer are the user's: the API's own refusal is clearer than a second one made here.
  return resolved as CreateJobBody;
}
