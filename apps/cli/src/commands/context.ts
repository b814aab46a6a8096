/** What every command that talks to the API shares: global options, the client, printing. */
import { createRowsmithClient, type ListOf, listAll, type PageOptions, type RowsmithClient } from '@rowsmith/client';
import { type Command, InvalidArgumentError } from 'commander';
import { type ConnectionOptions, findConnection } from '../connection.js';

export interface GlobalOptions extends ConnectionOptions {
  readonly json?: boolean;
}

/** Adds --url, --api-key, --data and --json to a command. */
export const withConnection = (command: Command): Command =>
  command
    .option('--url <url>', 'address of the API (ROWSMITH_URL; else the running `rowsmith up` of the data folder)')
    .option('--api-key <key>', 'API key (ROWSMITH_API_KEY; else <data>/api-key)')
    .option('--data <folder>', 'data folder of `rowsmith up` (ROWSMITH_DATA, ./.rowsmith)')
    .option('--json', 'print one JSON document and nothing else; errors are a JSON line on stderr');

export async function connect(options: GlobalOptions): Promise<RowsmithClient> {
  return createRowsmithClient(await findConnection(options, process.env));
}

export const print = (text: string) => process.stdout.write(`${text}\n`);
/** For people: never on stdout, which scripts read. */
export const note = (text: string) => process.stderr.write(`${text}\n`);

/** JSON with --json, else the text. */
export function show(options: GlobalOptions, value: unknown, text: () => string): void {
  print(options.json ? JSON.stringify(value, null, 2) : text());
}

/** Option parser: a whole number from `least` on. */
export const wholeNumber = (least: number) => (text: string) => {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least)
    throw new InvalidArgumentError(`It must be a whole number from ${least} on.`);
  return value;
};
/** Option parser: repeatable. */
export const collect = (value: string, before: readonly string[] = []) => [...before, value];

export interface ListFlags {
  readonly limit: number;
  readonly after?: string;
  readonly all?: boolean;
}
export const withPages = (command: Command, limit: number): Command =>
  command
    .option('--limit <n>', 'how many', wholeNumber(1), limit)
    .option('--after <id>', 'go on after this one, the last of the page before')
    .option('--all', 'all of them, page after page');

/** A page, or all pages as one. */
export async function pagesOf<T extends { readonly id: string }>(
  { limit, after, all }: ListFlags,
  list: (page: PageOptions) => Promise<ListOf<T>>,
): Promise<ListOf<T>> {
  const first = after === undefined ? {} : { after };
  if (!all) return list({ limit, ...first });
  const data: T[] = [];
  for await (const item of listAll((page) => list({ ...first, ...page }))) data.push(item);
  return { data, has_more: false };
}
