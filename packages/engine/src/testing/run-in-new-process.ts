import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * For tests of determinism: calls an exported function of a TypeScript module in a new Node process, through the loader that the tests use.
 * Its result is what the function returns, as text. `argument`: at most 100 kB, it travels on the command line.
 */
export async function runInNewProcess(module: URL, exportName: string, argument = ''): Promise<string> {
  const program = `
    import { runnerImport } from 'vite';
    const conditions = ['source', 'node', 'import', 'module', 'default'];
    const { module } = await runnerImport(${JSON.stringify(module.pathname)}, {
      configFile: false, logLevel: 'error', resolve: { conditions }, ssr: { resolve: { conditions } },
    });
    const result = await module[${JSON.stringify(exportName)}](${JSON.stringify(argument)});
    process.stdout.write('\\u0000' + result);
    process.exit(0);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  return stdout.slice(stdout.lastIndexOf('\u0000') + 1);
}
