import type { WebhookEndpointChanges } from '@rowsmith/client';
import { type WebhookEndpointObject, type WebhookType, webhookTypeOf } from '@rowsmith/contracts';
import { Command, InvalidArgumentError, Option } from 'commander';
import { CliError, exitCodes } from '../exit.js';
import { localTime, table } from '../table.js';
import { connect, type GlobalOptions, type ListFlags, pagesOf, show, wholeNumber, withConnection, withPages } from './context.js';

const types: readonly WebhookType[] = Object.values(webhookTypeOf);
const prefix = 'fine_tuning.';
/** `job.succeeded` is short for `fine_tuning.job.succeeded`. */
const eventType = (text: string, before: readonly WebhookType[] = []): readonly WebhookType[] => {
  const found = types.find((type) => type === text || type === `${prefix}${text}`);
  if (found === undefined) throw new InvalidArgumentError(`It is one of ${types.map((t) => t.slice(prefix.length)).join(', ')}.`);
  return [...before, found];
};

function endpointText(endpoint: WebhookEndpointObject): string {
  return [
    `${endpoint.id}  ${endpoint.enabled ? 'enabled' : 'disabled'}`,
    endpoint.url,
    `events  ${endpoint.events.join(', ')}`,
    ...(endpoint.description === '' ? [] : [endpoint.description]),
    ...(endpoint.secret === undefined ? [] : [`secret  ${endpoint.secret}  (shown this one time)`]),
  ].join('\n');
}

interface EndpointFlags extends GlobalOptions {
  readonly event?: readonly WebhookType[];
  readonly description?: string;
  readonly url?: string;
}
const withEndpoint = (command: Command): Command =>
  withConnection(command)
    .addOption(new Option('--event <type>', 'what to tell of, e.g. job.succeeded (repeatable)').argParser(eventType))
    .option('--description <text>', 'for people, up to 256 characters');
const changesOf = ({ event, description }: EndpointFlags): WebhookEndpointChanges => ({
  ...(event === undefined ? {} : { events: event }),
  ...(description === undefined ? {} : { description }),
});

function addEndpoints(webhooks: Command): void {
  withEndpoint(webhooks.command('create <endpoint-url>'))
    .description('tell a server of job events; the secret that signs the messages is shown once (default: succeeded, failed, cancelled)')
    .action(async (url: string, options: EndpointFlags) => {
      const made = await (await connect(options)).createWebhookEndpoint(url, changesOf(options));
      show(options, made, () => endpointText(made));
    });
  withPages(withConnection(webhooks.command('list')), 20)
    .description('endpoints, newest first')
    .action(async (options: GlobalOptions & ListFlags) => {
      const client = await connect(options);
      const page = await pagesOf(options, (p) => client.listWebhookEndpoints(p));
      const rows = page.data.map((e) => [e.id, e.enabled ? 'enabled' : 'disabled', localTime(e.created_at), e.url]);
      show(options, page, () => table(['endpoint', 'state', 'created', 'url'], rows));
    });
  withConnection(webhooks.command('get <endpoint>'))
    .description('one endpoint')
    .action(async (id: string, options: GlobalOptions) => {
      const endpoint = await (await connect(options)).getWebhookEndpoint(id);
      show(options, endpoint, () => endpointText(endpoint));
    });
  withEndpoint(webhooks.command('update <endpoint>'))
    .description('change an endpoint')
    .option('--to <endpoint-url>', 'send to this address')
    .option('--enable', 'send again')
    .option('--disable', 'send nothing; what happens meanwhile is not sent later')
    .action(async (id: string, options: EndpointFlags & { to?: string; enable?: boolean; disable?: boolean }) => {
      if (options.enable && options.disable) throw new CliError('--enable and --disable exclude each other', exitCodes.usage);
      const endpoint = await (await connect(options)).updateWebhookEndpoint(id, {
        ...changesOf(options),
        ...(options.to === undefined ? {} : { url: options.to }),
        ...(options.enable ? { enabled: true } : options.disable ? { enabled: false } : {}),
      });
      show(options, endpoint, () => endpointText(endpoint));
    });
  withConnection(webhooks.command('delete <endpoint>'))
    .description('delete an endpoint')
    .action(async (id: string, options: GlobalOptions) => {
      await (await connect(options)).deleteWebhookEndpoint(id);
      show(options, { id, deleted: true }, () => `${id}  deleted`);
    });
  withConnection(webhooks.command('rotate-secret <endpoint>'))
    .description('a new secret; the old one signs as well for a while')
    .option('--overlap <seconds>', 'how long the old secret still signs, up to 604800', wholeNumber(0), 86_400)
    .action(async (id: string, options: GlobalOptions & { overlap: number }) => {
      const endpoint = await (await connect(options)).rotateWebhookSecret(id, { overlapSeconds: options.overlap });
      show(options, endpoint, () => endpointText(endpoint));
    });
}

export function webhooksCommand(): Command {
  const webhooks = new Command('webhooks').description('messages to other servers when jobs end');
  addEndpoints(webhooks);
  withConnection(webhooks.command('test <endpoint>'))
    .description('send a test message')
    .action(async (id: string, options: GlobalOptions) => {
      const delivery = await (await connect(options)).testWebhookEndpoint(id);
      show(options, delivery, () => `${delivery.id}  ${delivery.status}\nSee what came back: rowsmith webhooks deliveries ${id}`);
    });
  withPages(withConnection(webhooks.command('deliveries <endpoint>')), 20)
    .description('messages and what came back, newest first')
    .action(async (id: string, options: GlobalOptions & ListFlags) => {
      const client = await connect(options);
      const page = await pagesOf(options, (p) => client.listWebhookDeliveries(id, p));
      const rows = page.data.map((d) => {
        const last = d.attempts.at(-1);
        const answer = last === undefined ? '-' : (last.error ?? String(last.status));
        return [d.id, d.status, String(d.attempts.length), localTime(d.created_at), d.type, answer];
      });
      show(options, page, () => table(['delivery', 'status', 'attempts', 'created', 'type', 'last answer'], rows));
    });
  withConnection(webhooks.command('replay <delivery>'))
    .description('send a message again')
    .action(async (id: string, options: GlobalOptions) => {
      const delivery = await (await connect(options)).replayWebhookDelivery(id);
      show(options, delivery, () => `${delivery.id}  ${delivery.status}`);
    });
  return webhooks;
}
