/** The tokenizer of a packed model as files that can be sent on. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackedModelIndex } from '@rowsmith/contracts';
import { ModelError } from '../errors.js';
import { type TokenizerFileName, tokenizerFileNames } from '../imported-model.js';
import { resolveModelDir } from './model-store.js';
import { fileSha256 } from './open-packed.js';
import { tokenizerDigest } from './write-packed.js';

export interface TokenizerFile {
  readonly name: TokenizerFileName;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Hashed now, as streams, and compared with what the index pins. Throws ModelError `unknown_model`, `corrupt_model`. */
export async function tokenizerFiles(
  store: string,
  { id, tokenizer_sha256: pinned }: Pick<PackedModelIndex, 'id' | 'tokenizer_sha256'>,
): Promise<readonly TokenizerFile[]> {
  const dir = await resolveModelDir(store, id);
  const files: TokenizerFile[] = [];
  for (const name of tokenizerFileNames) {
    const path = join(dir, name);
    files.push({ name, path, bytes: (await stat(path)).size, sha256: await fileSha256(path) });
  }
  const found = tokenizerDigest((wanted) => files.find(({ name }) => name === wanted)?.sha256 ?? '');
  if (found !== pinned)
    throw new ModelError(
      'corrupt_model',
      `tokenizer files have SHA-256 ${found}, pinned is ${pinned}; add the model again with --replace`,
      {
        file: dir,
      },
    );
  return files;
}
