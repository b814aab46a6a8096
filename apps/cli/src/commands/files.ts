import type { FilePurpose, FileReport, InvalidLinePolicy } from '@rowsmith/contracts';
import { Command, Option } from 'commander';
import { localTime, table } from '../table.js';
import { connect, type GlobalOptions, type ListFlags, note, pagesOf, show, wholeNumber, withConnection, withPages } from './context.js';
import { download, outOption } from './download.js';

function reportText(report: FileReport): string {
  const { tokens } = report;
  const lines = [
    `${report.file_id}  ${report.bytes} bytes, ${report.lines} lines, ${report.examples} examples (${report.shape ?? 'no shape'})`,
    `bad lines ${report.bad_lines}, blank ${report.blank_lines}, duplicates ${report.duplicates}`,
    ...report.errors.map((e) => `  line ${e.line}${e.param === '' ? '' : ` ${e.param}`}: ${e.message}`),
    ...report.warnings.map((w) => `  warning: ${w}`),
  ];
  if (tokens !== null) {
    lines.push(
      `tokens (${tokens.model}): ${tokens.total} in ${tokens.examples} examples${tokens.complete ? '' : ' (the beginning of the file)'}; mean ${tokens.mean.toFixed(1)}, median ${tokens.p50}, 95% ${tokens.p95}, longest ${tokens.max}`,
      `longer than ${tokens.max_seq_length}: ${tokens.truncated}; nothing left to learn: ${tokens.dropped}`,
      ...tokens.histogram.map((bin) => `  up to ${String(bin.up_to).padStart(6)}  ${bin.examples}`),
    );
  }
  return lines.join('\n');
}

interface UploadFlags extends GlobalOptions {
  readonly name?: string;
  readonly onInvalid: InvalidLinePolicy;
  readonly expiresAfter?: number;
  readonly partSize: number;
}

export function filesCommand(): Command {
  const files = new Command('files').description('training files, and the result files of jobs');
  withConnection(files.command('upload <path>'))
    .description('upload a JSONL file for fine-tuning; every bad line is reported')
    .option('--name <text>', "name shown in lists (default: the file's own)")
    .addOption(new Option('--on-invalid <what>', 'a file with bad lines').choices(['refuse', 'keep']).default('refuse'))
    .option('--expires-after <seconds>', 'deleted so long after its creation; at least 3600 (default: kept)', wholeNumber(3600))
    .option('--part-size <MiB>', 'larger files go in parts of this size, at most 64', wholeNumber(1), 64)
    .action(async (path: string, options: UploadFlags) => {
      const file = await (await connect(options)).uploadFile(path, {
        onInvalid: options.onInvalid,
        partBytes: options.partSize * 2 ** 20,
        onProgress: (sent, total) => note(`  ${sent} of ${total} bytes`),
        ...(options.name === undefined ? {} : { filename: options.name }),
        ...(options.expiresAfter === undefined ? {} : { expiresAfterSeconds: options.expiresAfter }),
      });
      show(options, file, () => `${file.id}  ${file.bytes} bytes`);
    });
  withPages(withConnection(files.command('list')), 1000)
    .description('uploaded files and results, newest first')
    .addOption(new Option('--purpose <purpose>', 'only these').choices(['fine-tune', 'fine-tune-results']))
    .action(async (options: GlobalOptions & ListFlags & { purpose?: FilePurpose }) => {
      const client = await connect(options);
      const purpose = options.purpose === undefined ? {} : { purpose: options.purpose };
      const page = await pagesOf(options, (p) => client.listFiles({ ...p, ...purpose }));
      const rows = page.data.map((f) => [f.id, f.purpose, f.status, String(f.bytes), localTime(f.created_at), f.filename]);
      show(options, page, () => table(['file', 'purpose', 'status', 'bytes', 'created', 'name'], rows));
    });
  withConnection(files.command('get <file>'))
    .description('one file: size, status, when it ends')
    .action(async (id: string, options: GlobalOptions) => {
      const f = await (await connect(options)).getFile(id);
      const end = f.expires_at === null ? '' : `\nexpires  ${localTime(f.expires_at)}`;
      show(
        options,
        f,
        () => `${f.id}  ${f.filename}\n${f.purpose}, ${f.status}, ${f.bytes} bytes\ncreated  ${localTime(f.created_at)}${end}`,
      );
    });
  withConnection(files.command('report <file>'))
    .description('faults by line, duplicates, and with --model the lengths of the examples')
    .option('--model <id>', 'count tokens as this base model does')
    .option('--max-seq-length <tokens>', 'what is longer is counted as truncated (default: 1024, or what the model takes)', wholeNumber(8))
    .addOption(new Option('--train-on <what>', 'tokens that count in the loss').choices(['assistant', 'last', 'all']))
    .action(
      async (id: string, options: GlobalOptions & { model?: string; maxSeqLength?: number; trainOn?: 'assistant' | 'last' | 'all' }) => {
        const { model, maxSeqLength, trainOn } = options;
        const report = await (await connect(options)).fileReport(id, {
          ...(model === undefined ? {} : { model }),
          ...(maxSeqLength === undefined ? {} : { maxSeqLength }),
          ...(trainOn === undefined ? {} : { trainOn }),
        });
        show(options, report, () => reportText(report));
      },
    );
  withConnection(files.command('content <file>'))
    .description('the content as it is stored')
    .option(...outOption)
    .action(async (id: string, options: GlobalOptions & { out?: string }) => {
      const client = await connect(options);
      await download(options, () => client.fileContent(id));
    });
  withConnection(files.command('delete <file>'))
    .description('delete a file that no unfinished job reads')
    .action(async (id: string, options: GlobalOptions) => {
      await (await connect(options)).deleteFile(id);
      show(options, { id, deleted: true }, () => `${id}  deleted`);
    });
  return files;
}
