import type { LinkStatus, VerificationLink } from '@rowsmith/contracts';
import { Command } from 'commander';
import { exitCodes } from '../exit.js';
import { connect, type GlobalOptions, print, withConnection } from './context.js';

const marks: Readonly<Record<LinkStatus, string>> = {
  ok: 'ok',
  broken: 'BROKEN',
  removed: 'removed',
  aside: 'aside',
  unchecked: 'unchecked',
};

/** The hash that was found stands in the line; of a broken link also the one that belongs there, and the object. */
export function linkText({ of, link, status, found, expected, bytes, key, message }: VerificationLink): string {
  const size = bytes === null ? '' : `  ${bytes} bytes`;
  const hash = found ?? (status === 'removed' ? expected : null);
  const first = `${marks[status].padEnd(9)}  ${of}: ${link}${hash === null ? '' : `  ${hash}`}${size}`;
  const more = [
    ...(status === 'broken' && expected !== null ? [`expected ${expected}`] : []),
    ...(status === 'broken' && key !== null ? [key] : []),
    ...(message === null ? [] : [message]),
  ];
  return [first, ...more.map((line) => `           ${line}`)].join('\n');
}

export function verifyCommand(): Command {
  return withConnection(new Command('verify'))
    .argument('<job>')
    .description('recompute the chain of a job: adapter, checkpoints, data; exit code 1 when a link is broken')
    .action(async (job: string, options: GlobalOptions) => {
      const lines = (await connect(options)).verifyJob(job);
      const links: VerificationLink[] = [];
      for (;;) {
        const next = await lines.next();
        if (!next.done) {
          links.push(next.value);
          if (!options.json) print(linkText(next.value));
          continue;
        }
        const verdict = next.value;
        const broken = links.filter(({ status }) => status === 'broken').map(({ of, link }) => `${of}: ${link}`);
        if (options.json) print(JSON.stringify({ ...verdict, links }, null, 2));
        else if (verdict.valid)
          print(`The chain of ${job} is whole: ${verdict.links} links, ${verdict.checkpoints} checkpoints, ${verdict.bytes} bytes hashed.`);
        else print(`The chain of ${job} is broken in ${verdict.broken} of ${verdict.links} links: ${broken.join(', ')}.`);
        if (!verdict.valid) process.exitCode = exitCodes.failed;
        return;
      }
    });
}
