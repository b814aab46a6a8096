/** What every command that talks to the API shares: global options, the client, printing. */
import { createRowsmithClient, type RowsmithClient } from '@rowsmith/client';
import type { Command } from 'commander';
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
    .option('--json', 'print JSON');

export async function connect(options: GlobalOptions): Promise<RowsmithClient> {
  return createRowsmithClient(await findConnection(options, process.env));
}

export const print = (text: string) => process.stdout.write(`${text}\n`);

/** JSON with --json, else the text. */
export function show(options: GlobalOptions, value: unknown, text: () => string): void {
  print(options.json ? JSON.stringify(value, null, 2) : text());
}
