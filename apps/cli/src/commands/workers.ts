import { Command } from 'commander';
import { localTime, table } from '../table.js';
import { connect, type GlobalOptions, show, withConnection } from './context.js';

export function workersCommand(): Command {
  const workers = new Command('workers').description('the machines that run jobs');
  withConnection(workers.command('list'))
    .description('workers of the last day, those alive first')
    .action(async (options: GlobalOptions) => {
      const page = await (await connect(options)).listWorkers();
      const rows = page.data.map((w) => [
        w.id,
        w.device_class,
        w.alive ? 'alive' : 'silent',
        `${w.running}/${w.slots}`,
        w.version,
        localTime(w.heartbeat_at),
      ]);
      show(options, page, () => table(['worker', 'class', 'state', 'jobs', 'version', 'last heard of'], rows));
    });
  withConnection(workers.command('slots <class>'))
    .description('how many jobs wait for a device class or run on it: what an autoscaler should provide')
    .option('--any', 'count also jobs that fit every class')
    .action(async (deviceClass: string, options: GlobalOptions & { any?: boolean }) => {
      const slots = await (await connect(options)).wantedSlots(deviceClass, options.any ? { any: true } : {});
      show(options, slots, () => String(slots.slots));
    });
  return workers;
}
