import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { confinementOf } from './confinement.js';
import { startTrainer } from './trainer-process.js';

/** What a program under the trainer's confinement sees of the world. */
const probe = `
import { readFileSync, readdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
const status = readFileSync('/proc/self/status', 'utf8');
const of = (name) => new RegExp('^' + name + ':\\\\s+(\\\\S+)', 'm').exec(status)?.[1];
const tried = (work) => { try { work(); return 'read'; } catch (error) { return error.code; } };
process.stdout.write(JSON.stringify({
  noNewPrivileges: of('NoNewPrivs'), effective: of('CapEff'), permitted: of('CapPrm'), core: /^Max core file size +(\\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1],
  interfaces: readdirSync('/sys/class/net').length && readFileSync('/proc/net/dev', 'utf8').split('\\n').slice(2).map((line) => line.split(':')[0].trim()).filter(Boolean),
  addresses: Object.keys(networkInterfaces()), worker: tried(() => readFileSync('/proc/' + process.ppid + '/environ')), env: Object.keys(process.env),
}));
process.on('message', () => process.exit(0));
`;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-confinement-'));
  await writeFile(join(folder, 'probe.mjs'), probe);
});
afterAll(() => rm(folder, { recursive: true }));

async function seenUnder(confinement: ReturnType<typeof confinementOf>): Promise<Record<string, unknown>> {
  const trainer = startTrainer({
    ...{ program: join(folder, 'probe.mjs'), cwd: folder, niceness: 0, wrapper: confinement.wrapper },
    env: { PATH: process.env['PATH'] ?? '' },
    onMessage: () => undefined,
    onInvalid: () => undefined,
  });
  trainer.send({ type: 'stop', reason: 'cancel' });
  const { code, output } = await trainer.exited;
  expect(code, output).toBe(0);
  return JSON.parse(output) as Record<string, unknown>;
}

describe('a confined trainer', () => {
  const confinement = confinementOf({ needsNetwork: false });
  const where = (what: (typeof confinement.kept)[number]) => test.runIf(confinement.kept.includes(what));

  // Everywhere that CI runs; the others depend on what a container allows.
  test('is as confined as any Linux allows', () =>
    expect(confinement.kept).toEqual(expect.arrayContaining(['pdeathsig', 'no-new-privileges', 'no-capabilities', 'no-core'])));
  test('has no capabilities, gains no rights, dumps no core, sees only the variables that it was given', async () => {
    expect(await seenUnder(confinement)).toMatchObject({
      ...{ noNewPrivileges: '1', effective: '0000000000000000', permitted: '0000000000000000', core: '0', env: ['PATH'] },
    });
  });
  where('hidden-worker')('cannot read the environment of its worker', async () =>
    expect(await seenUnder(confinement)).toMatchObject({ worker: 'EACCES' }),
  );
  where('no-network')('has no network', async () =>
    expect(await seenUnder(confinement)).toMatchObject({ interfaces: ['lo'], addresses: [] }),
  );
  test('keeps its network where it needs one', async () => {
    const { wrapper, missing } = confinementOf({ needsNetwork: true });
    expect(missing).not.toContain('no-network');
    expect((await seenUnder({ ...confinement, wrapper }))['addresses']).not.toEqual([]);
  });
  test('the same program unconfined sees more: the probe can tell', async () => {
    expect(await seenUnder({ wrapper: [], kept: [], missing: [] })).toMatchObject({ noNewPrivileges: '0', worker: 'read' });
  });
});

const environ = `/proc/${process.pid}/environ`;

describe('what a machine forbids is left out and named', () => {
  const only = (...allowed: string[]) => ({
    isRoot: false,
    needsNetwork: false,
    runs: (command: readonly string[]) => !command.some((word) => !allowed.includes(word)),
  });
  test('no util-linux at all', () => {
    const { wrapper, kept, missing } = confinementOf(only('true', 'cat', environ));
    expect({ wrapper, kept, missing: missing.length }).toEqual({ wrapper: [], kept: [], missing: 6 });
  });
  test('no user namespaces, as in most containers', () => {
    const { wrapper, missing } = confinementOf(
      only(
        'true',
        'prlimit',
        '--core=0:0',
        'setpriv',
        '--pdeathsig',
        'KILL',
        '--no-new-privs',
        '--inh-caps',
        '-all',
        '--ambient-caps',
        'cat',
        environ,
      ),
    );
    expect(wrapper.slice(0, 3)).toEqual(['prlimit', '--core=0:0', 'setpriv']);
    expect(missing).toEqual(['no-network', 'hidden-worker']);
  });
  test('parts that work alone and not together confine nothing rather than fail every job', () => {
    const { wrapper, missing } = confinementOf({
      isRoot: true,
      needsNetwork: false,
      runs: (command) => !(command.includes('unshare') && command.includes('setpriv')),
    });
    expect({ wrapper, missing: missing.length }).toEqual({ wrapper: [], missing: 6 });
  });
});
