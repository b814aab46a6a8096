import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SetupFailure } from './failure.mjs';
import { root } from './paths.mjs';
import { runProgram, tail } from './run-program.mjs';

const schema = join(root, 'prisma', 'schema.prisma');
const generated = join(root, 'packages', 'db', 'src', 'generated');
const stamp = join(generated, '.made-from');

/** What the generated client depends on. */
async function key() {
  const prisma = await readFile(join(root, 'node_modules', 'prisma', 'package.json'), 'utf8');
  return createHash('sha256')
    .update(JSON.parse(prisma).version)
    .update(await readFile(schema))
    .digest('hex');
}

export async function clientIsCurrent() {
  return existsSync(stamp) && (await readFile(stamp, 'utf8')) === (await key());
}

export async function generateClient() {
  // The schema engine is a download that generation does not need, but Prisma looks for it: any file that exists will do.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' };
  const result = await runProgram(process.execPath, [join(root, 'node_modules', 'prisma', 'build', 'index.js'), 'generate'], {
    cwd: root,
    env,
  });
  if (result.status !== 0)
    throw new SetupFailure(`prisma generate failed:\n${tail(result.output)}`, 'correct prisma/schema.prisma, or report this output');
  await writeFile(stamp, await key());
  return 'generated from prisma/schema.prisma';
}
