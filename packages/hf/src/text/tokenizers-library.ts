import { createRequire } from 'node:module';

type Library = typeof import('tokenizers');

let library: Library | undefined;

/** The `tokenizers` package, loaded when the first tokenizer is: its addon would wait for the loader, which a trainer keeps busy with TensorFlow at its start. */
export function tokenizersLibrary(): Library {
  library ??= createRequire(import.meta.url)('tokenizers') as Library;
  return library;
}
