import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cacheFolder } from '../cache-folder.js';
import { runProgram } from '../run-program.js';
import { absent, broken, type Finding, ok } from './finding.js';

/** Runs in a process of its own: a library built for another processor ends it with a signal. */
const loadProgram = (index: string) => `
  import { loadTensorFlow } from ${JSON.stringify(index)};
  try {
    const tf = await loadTensorFlow();
    const sum = tf.sum(tf.ones([64, 64])).arraySync();
    const { binding, isUsingGpuDevice } = tf.backend();
    console.log(JSON.stringify({ version: binding.TF_Version, gpu: isUsingGpuDevice, sum }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message.split('\\n')[0], repair: error.repair }));
  }`;

const repairBySetUp = 'run `npm run setup`, which verifies and repairs the native parts';

export async function tensorFlowFinding(): Promise<Finding> {
  const index = new URL('../index.js', import.meta.url).href;
  const result = await runProgram(process.execPath, ['--input-type=module', '-e', loadProgram(index)]);
  if (result.status !== 0) {
    const why = result.stderr.trim().split('\n').at(-1) ?? '';
    return broken('TensorFlow', `loading it ended the process (${why || `status ${result.status}`})`, repairBySetUp);
  }
  const answer = JSON.parse(result.stdout.trim().split('\n').at(-1) ?? '{}') as {
    version?: string;
    gpu?: boolean;
    sum?: number;
    error?: string;
    repair?: string;
  };
  if (answer.error) return broken('TensorFlow', answer.error, answer.repair ?? repairBySetUp);
  if (answer.sum !== 64 * 64) return broken('TensorFlow', `computed ${answer.sum} instead of 4096`, repairBySetUp);
  return ok('TensorFlow', `${answer.version}, loaded and computing on the ${answer.gpu ? 'GPU' : 'CPU'}`, answer);
}

/** The kernels build on this package, so it is looked up by name at run time; null where it is not installed or not compiled. */
function kernelsIndex(): string | null {
  try {
    const path = createRequire(import.meta.url).resolve('@rowsmith/kernels');
    return existsSync(path) ? pathToFileURL(path).href : null;
  } catch {
    return null;
  }
}

const kernelsProgram = (index: string) => `
  import { loadKernels, kernelOps } from ${JSON.stringify(index)};
  const kernels = await loadKernels();
  console.log(kernels.loaded ? 'loaded ' + kernelOps.length : kernels.reason.split('\\n')[0]);`;

/** Fused operators are optional: without them the same mathematics runs on stock operators, slower. */
export async function kernelsFinding(): Promise<Finding> {
  const index = kernelsIndex();
  const stock = (why: string) => absent('Kernels', `stock operators: ${why}`);
  if (!index) return stock('no kernels package is built');
  const result = await runProgram(process.execPath, ['--input-type=module', '-e', kernelsProgram(index)]);
  const answer = result.stdout.trim().split('\n').at(-1) ?? '';
  if (result.status !== 0) return stock(`loading the fused ones ended the process (status ${result.status})`);
  return answer.startsWith('loaded ') ? ok('Kernels', `${answer.slice(7)} fused operators`) : stock(answer);
}

export function demoModelFinding(): Finding {
  const folder = join(cacheFolder(), 'models', 'smollm2-135m-instruct');
  return existsSync(join(folder, 'index.json'))
    ? ok('Demo model', folder)
    : { ...absent('Demo model', `not in ${folder}`), repair: 'run `npm run setup`' };
}
