/** The --out of every command that downloads one file. */
import { resolve } from 'node:path';
import { CliError, exitCodes } from '../exit.js';
import { saveStream } from '../save-stream.js';
import { type GlobalOptions, show } from './context.js';

export const outOption = ['--out <path>', 'file to write, replaced when it is whole; - is stdout'] as const;

/** To stdout without --out: then there is no room for a JSON document. */
export async function download(
  options: GlobalOptions & { readonly out?: string },
  open: () => Promise<ReadableStream<Uint8Array>>,
): Promise<void> {
  const { out = '-', json } = options;
  if (out === '-' && json) throw new CliError('--json needs --out <path>: the content itself would be on stdout', exitCodes.usage);
  const path = out === '-' ? out : resolve(out);
  const bytes = await saveStream(await open(), path);
  if (path !== '-') show(options, { path, bytes }, () => `${path}  ${bytes} bytes`);
}
