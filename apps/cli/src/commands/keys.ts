import { type ApiKeyObject, type Scope, scopes } from '@rowsmith/contracts';
import { Command, InvalidArgumentError, Option } from 'commander';
import { localTime, table } from '../table.js';
import { connect, type GlobalOptions, type ListFlags, pagesOf, show, wholeNumber, withConnection, withPages } from './context.js';

interface KeyFlags extends GlobalOptions {
  readonly project: string;
}
/** `current`: the project of the key that asks. */
const withProject = (command: Command): Command =>
  withConnection(command).option('--project <id>', 'of this project; another one than your own needs the scope organization', 'current');

const scope = (text: string, before: readonly Scope[] = []): readonly Scope[] => {
  const found = scopes.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`It is one of ${scopes.join(', ')}.`);
  return [...before, found];
};
/** Unix seconds from a date, e.g. 2030-01-31 or 2030-01-31T12:00:00Z. */
const date = (text: string): number => {
  const ms = Date.parse(text);
  if (!Number.isFinite(ms)) throw new InvalidArgumentError('It must be a date such as 2030-01-31.');
  return Math.floor(ms / 1000);
};
const timeOr = (seconds: number | null, none: string) => (seconds === null ? none : localTime(seconds));

function keyText(key: ApiKeyObject): string {
  return [
    `${key.id}  ${key.name}  ${key.scopes.join(', ')}`,
    `expires ${timeOr(key.expires_at, 'never')}, last used ${timeOr(key.last_used_at, 'never')}`,
    ...(key.value === undefined ? [] : [`key  ${key.value}  (shown this one time)`]),
  ].join('\n');
}

export function keysCommand(): Command {
  const keys = new Command('keys').description('API keys of a project (needs the scope admin)');
  withPages(withProject(keys.command('list')), 20)
    .description('keys that were not revoked, newest first')
    .action(async (options: KeyFlags & ListFlags) => {
      const client = await connect(options);
      const page = await pagesOf(options, (p) => client.listApiKeys(options.project, p));
      const rows = page.data.map((k) => [
        ...[k.id, k.redacted_value, timeOr(k.expires_at, 'never'), timeOr(k.last_used_at, 'never')],
        ...[k.scopes.join(','), k.name],
      ]);
      show(options, page, () => table(['id', 'key', 'expires', 'last used', 'scopes', 'name'], rows));
    });
  withProject(keys.command('create <name>'))
    .description('a new key, with at most the scopes of your own; it is shown once')
    .addOption(new Option('--scope <scope>', 'what it may do, e.g. read, write, files:write (repeatable; default write)').argParser(scope))
    .addOption(new Option('--expires <date>', 'until when it works, e.g. 2030-01-31 (default: for ever)').argParser(date))
    .action(async (name: string, options: KeyFlags & { scope?: readonly Scope[]; expires?: number }) => {
      const client = await connect(options);
      const key = await client.createApiKey(options.project, name, {
        ...(options.scope === undefined ? {} : { scopes: options.scope }),
        ...(options.expires === undefined ? {} : { expiresAt: options.expires }),
      });
      show(options, key, () => keyText(key));
    });
  withProject(keys.command('rotate <key>'))
    .description('a new key like this one, which works as well for a while; the argument is its id')
    .option('--overlap <seconds>', 'how long the old key still works, up to 2592000', wholeNumber(0), 86_400)
    .action(async (id: string, options: KeyFlags & { overlap: number }) => {
      const key = await (await connect(options)).rotateApiKey(options.project, id, { overlapSeconds: options.overlap });
      show(options, key, () => keyText(key));
    });
  withProject(keys.command('revoke <key>'))
    .description('at once and for good; the argument is its id')
    .action(async (id: string, options: KeyFlags) => {
      await (await connect(options)).revokeApiKey(options.project, id);
      show(options, { id, deleted: true }, () => `${id}  revoked`);
    });
  return keys;
}
