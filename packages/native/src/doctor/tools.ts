import { runProgram } from '../run-program.js';
import { broken, type Finding, ok } from './finding.js';

/** Lowest Node.js that works: its own TypeScript-free ESM, `import.meta.dirname` and the packages' floors. */
export const lowestNode = [20, 19] as const;

export function isNodeNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > lowestNode[0] || (major === lowestNode[0] && minor >= lowestNode[1]);
}

export async function toolFindings(): Promise<readonly Finding[]> {
  const [python, pip, compiler] = await Promise.all([
    runProgram('python3', ['--version']),
    runProgram('python3', ['-m', 'pip', '--version']),
    runProgram('g++', ['--version']),
  ]);
  const firstLine = (text: string) => text.trim().split('\n')[0] ?? '';
  const node = process.versions.node;
  return [
    isNodeNewEnough(node)
      ? ok('Node.js', node, { version: node })
      : broken('Node.js', node, `install Node.js ${lowestNode.join('.')} or newer`),
    python.status === 0
      ? ok('Python', firstLine(python.stdout).replace('Python ', ''))
      : setUpOnly('Python', 'not found', 'install Python 3 with pip (Debian and Ubuntu: apt-get install python3-pip)'),
    pip.status === 0
      ? ok('pip', firstLine(pip.stdout).split(' ')[1] ?? '')
      : setUpOnly('pip', 'not found', 'install pip for Python 3 (Debian and Ubuntu: apt-get install python3-pip)'),
    compiler.status === 0
      ? ok('g++', firstLine(compiler.stdout))
      : setUpOnly('g++', 'not found', 'install a C++ compiler (Debian and Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++)'),
  ];
}

/** Once set up, Rowsmith runs without it (the container images do). */
const setUpOnly = (name: string, detail: string, repair: string): Finding => ({
  ...broken(name, `${detail}: set-up needs it`, repair),
  needed: false,
});
