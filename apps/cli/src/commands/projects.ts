import { type AuditAction, auditActions, type ProjectObject, type ProjectQuotas } from '@rowsmith/contracts';
import { Command, InvalidArgumentError, Option } from 'commander';
import { localTime, table } from '../table.js';
import { connect, type GlobalOptions, type ListFlags, pagesOf, show, wholeNumber, withConnection, withPages } from './context.js';

/** Commander makes an empty string of a parser's null, so "no limit" stays a word until it is sent. */
type Limit = number | 'none';
const limit = (text: string): Limit => (text === 'none' ? text : wholeNumber(0)(text));
const quotaFlags = {
  runningJobs: ['running_jobs', 'running-jobs', 'that run at a time'],
  queuedJobs: ['queued_jobs', 'queued-jobs', 'that wait'],
  storageBytes: ['storage_bytes', 'storage-bytes', 'of files'],
  deviceSeconds: ['device_seconds_per_month', 'device-seconds', 'of device time a month'],
  requests: ['requests_per_minute', 'requests', 'a minute'],
} as const satisfies Record<string, readonly [keyof ProjectQuotas, string, string]>;
export type QuotaFlags = GlobalOptions & { readonly [K in keyof typeof quotaFlags]?: Limit } & { readonly name?: string };

export const withQuotas = (command: Command): Command => {
  for (const [, flag, what] of Object.values(quotaFlags))
    command.addOption(new Option(`--${flag} <n>`, `how many it may have ${what}; none: no limit`).argParser(limit));
  return command;
};
/** undefined: none is named. */
export function quotasOf(options: QuotaFlags): Partial<ProjectQuotas> | undefined {
  const given = Object.entries(quotaFlags).flatMap(([flag, [name]]) => {
    const value = options[flag as keyof typeof quotaFlags];
    return value === undefined ? [] : [[name, value === 'none' ? null : value] as const];
  });
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

const action = (text: string, before: readonly AuditAction[] = []): readonly AuditAction[] => {
  const found = auditActions.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`It is one of ${auditActions.join(', ')}.`);
  return [...before, found];
};

const projectText = ({ id, name, status, quotas }: ProjectObject): string =>
  [`${id}  ${name}  ${status}`, ...Object.entries(quotas).map(([quota, most]) => `${quota}  ${most ?? 'no limit'}`)].join('\n');

export function projectsCommand(): Command {
  const projects = new Command('projects').description('projects, their quotas, and who did what (needs the scope admin or organization)');
  withPages(withConnection(projects.command('list')), 20)
    .description('projects, newest first')
    .option('--archived', 'archived ones too')
    .action(async (options: GlobalOptions & ListFlags & { archived?: boolean }) => {
      const client = await connect(options);
      const page = await pagesOf(options, (p) => client.listProjects({ ...p, includeArchived: options.archived ?? false }));
      const rows = page.data.map((p) => [p.id, p.status, localTime(p.created_at), p.name]);
      show(options, page, () => table(['project', 'status', 'created', 'name'], rows));
    });
  withQuotas(withConnection(projects.command('create <name>')))
    .description('a new project; make keys for it with `rowsmith keys create --project <id>`')
    .action(async (name: string, options: QuotaFlags) => {
      const project = await (await connect(options)).createProject(name, quotasOf(options));
      show(options, project, () => projectText(project));
    });
  withQuotas(withConnection(projects.command('update <project>')))
    .description('change the name or quotas')
    .option('--name <name>', 'new name')
    .action(async (id: string, options: QuotaFlags) => {
      const quotas = quotasOf(options);
      const changes = { ...(options.name === undefined ? {} : { name: options.name }), ...(quotas === undefined ? {} : { quotas }) };
      const project = await (await connect(options)).updateProject(id, changes);
      show(options, project, () => projectText(project));
    });
  withConnection(projects.command('archive <project>'))
    .description('for good: its keys stop working, what it has is kept')
    .action(async (id: string, options: GlobalOptions) => {
      const project = await (await connect(options)).archiveProject(id);
      show(options, project, () => `${project.id}  ${project.status}`);
    });
  withConnection(projects.command('usage [project]'))
    .description('what it uses of its quotas; your own if none is named')
    .action(async (id: string | undefined, options: GlobalOptions) => {
      const usage = await (await connect(options)).projectUsage(id ?? 'current');
      const names = ['running_jobs', 'queued_jobs', 'storage_bytes', 'device_seconds_per_month'] as const;
      const rows = names.map((name) => [name, String(Math.floor(usage[name].used)), String(usage[name].limit ?? 'no limit')]);
      show(options, usage, () => table(['quota', 'used', 'limit'], rows));
    });
  withPages(withConnection(projects.command('audit')), 20)
    .description('who did what, newest first')
    .addOption(new Option('--action <type>', 'only this, e.g. job.created (repeatable)').argParser(action))
    .action(async (options: GlobalOptions & ListFlags & { action?: readonly AuditAction[] }) => {
      const client = await connect(options);
      const actions = options.action === undefined ? {} : { actions: options.action };
      const page = await pagesOf(options, (p) => client.listAuditLogs({ ...p, ...actions }));
      const rows = page.data.map((e) => [
        ...[localTime(e.effective_at), e.type, String(e.status), e.resource_id ?? '-', e.actor.api_key.name],
        ...[e.actor.ip_address, e.project.name],
      ]);
      show(options, page, () => table(['time', 'action', 'status', 'object', 'key', 'address', 'project'], rows));
    });
  return projects;
}
