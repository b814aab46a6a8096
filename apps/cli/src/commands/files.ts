import { Command } from 'commander';
import { localTime, table } from '../table.js';
import { connect, type GlobalOptions, show, withConnection } from './context.js';

export function filesCommand(): Command {
  const files = new Command('files').description('upload and list training files');
  withConnection(files.command('upload <path>'))
    .description('upload a JSONL file for fine-tuning; every bad line is reported')
    .action(async (path: string, options: GlobalOptions) => {
      const file = await (await connect(options)).uploadFile(path);
      show(options, file, () => `${file.id}  ${file.bytes} bytes`);
    });
  withConnection(files.command('list'))
    .description('uploaded files and results, newest first')
    .action(async (options: GlobalOptions) => {
      const page = await (await connect(options)).listFiles({});
      const rows = page.data.map((f) => [f.id, f.purpose, String(f.bytes), localTime(f.created_at), f.filename]);
      show(options, page, () => table(['file', 'purpose', 'bytes', 'created', 'name'], rows));
    });
  return files;
}
