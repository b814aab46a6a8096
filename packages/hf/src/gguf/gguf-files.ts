import { basename, dirname, join } from 'node:path';
import { ByteSource } from '../byte-source.js';
import { ModelError } from '../errors.js';
import type { FiledTensor } from './gguf-tensors.js';
import { type GgufHeader, readGgufHeader } from './header.js';
import { Metadata } from './metadata.js';

export interface GgufFiles {
  /** Of the first file: the others repeat nothing but their number. */
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, FiledTensor>;
  readonly files: readonly { readonly label: string; readonly path: string }[];
  close(): Promise<void>;
}

const partName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;
const maxParts = 1000;

/** Opens a GGUF file, and the others of a split model (`x-00001-of-00003.gguf`), whichever part is given. */
export async function openGguf(path: string): Promise<GgufFiles> {
  const sources: ByteSource[] = [];
  const close = async () => {
    for (const source of sources) await source.close();
  };
  const open = async (at: string) => {
    const source = await ByteSource.open(at, basename(at));
    sources.push(source);
    const header = await readGgufHeader(source);
    return { source, header, metadata: new Metadata(header.metadata, source.file) };
  };
  try {
    const one = await open(path);
    const count = one.metadata.number('split.count', 1);
    if (count <= 1) {
      const tensors = new Map<string, FiledTensor>();
      add(tensors, one);
      return { metadata: one.metadata, tensors, files: [{ label: basename(path), path }], close };
    }
    const paths = partPaths(path, count);
    const tensors = new Map<string, FiledTensor>();
    let first = one.metadata;
    for (const [i, part] of paths.entries()) {
      const opened = part === path ? one : await open(part);
      const { metadata } = opened;
      if (metadata.number('split.no') !== i || metadata.number('split.count') !== count) {
        throw new ModelError('bad_gguf', `is not part ${i + 1} of ${count} by its own split.no and split.count`, { file: metadata.file });
      }
      if (i === 0) first = metadata;
      add(tensors, opened);
    }
    const total = first.number('split.tensors.count');
    if (tensors.size !== total)
      throw new ModelError('bad_gguf', `the parts hold ${tensors.size} tensors, split.tensors.count is ${total}`, { file: first.file });
    return { metadata: first, tensors, files: paths.map((p) => ({ label: basename(p), path: p })), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function add(tensors: Map<string, FiledTensor>, { source, header }: { readonly source: ByteSource; readonly header: GgufHeader }): void {
  for (const [name, tensor] of header.tensors) {
    if (tensors.has(name))
      throw new ModelError('bad_gguf', `tensor ${JSON.stringify(name)} is in another part, too`, { file: source.file });
    tensors.set(name, { ...tensor, source });
  }
}

function partPaths(path: string, count: number): string[] {
  const file = basename(path);
  const named = partName.exec(file);
  if (!named || Number(named[3]) !== count || !Number.isInteger(count) || count > maxParts) {
    throw new ModelError(
      'bad_gguf',
      `is one of ${count} parts, so its name has to end with -0000k-of-${String(count).padStart(5, '0')}.gguf`,
      {
        file,
      },
    );
  }
  return Array.from({ length: count }, (_, i) => join(dirname(path), `${named[1]}-${String(i + 1).padStart(5, '0')}-of-${named[3]}.gguf`));
}
