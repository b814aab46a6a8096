/** `npm run quickstart`: fine-tunes the demo model through the REST API and shows each request as a curl command. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createRowsmithClient } from '@rowsmith/client';
import { CliError } from '../exit.js';
import { pullAdapter } from '../pull-adapter.js';
import { reportError } from '../report-error.js';
import { openScreen, watchJob } from '../watch.js';
import { collectAnswers, sideBySide } from './compare.js';
import { curlCommand } from './curl.js';
import { freshFolder } from './fresh-folder.js';
import { closing, losses } from './report.js';
import { quickstart } from './settings.js';
import { openStack } from './stack.js';

const say = (text: string) => process.stdout.write(`${text}\n`);
const heading = (text: string) => say(`\n== ${text}`);
const command = (text: string) => say(`  $ ${text}`);

async function run(signal: AbortSignal): Promise<void> {
  const prompts = JSON.parse(await readFile(quickstart.promptsFile, 'utf8')) as string[];
  heading('1. Start the service (API, worker, embedded Postgres on this machine)');
  const stack = await openStack((line) => say(`  ${line}`));
  try {
    signal.throwIfAborted();
    const { baseUrl } = stack.connection;
    const client = createRowsmithClient(stack.connection);

    heading('2. Upload the training and the validation file');
    const ids: string[] = [];
    for (const file of [quickstart.trainingFile, quickstart.validationFile]) {
      command(curlCommand(`${baseUrl}/files`, { form: ['purpose=fine-tune', `file=@${file}`] }));
      const uploaded = await client.uploadFile(file);
      ids.push(uploaded.id);
      say(`    ${uploaded.id}  (${uploaded.bytes} bytes)`);
    }
    const [training = '', validation = ''] = ids;

    heading('3. Start a fine-tuning job');
    const body = {
      ...quickstart.job,
      model: quickstart.model,
      training_file: training,
      validation_file: validation,
      row_sparse: { ...quickstart.job.row_sparse, sample_prompts: prompts },
    };
    command(curlCommand(`${baseUrl}/jobs`, { json: body }));
    const created = await client.createJob(body);
    say(`    ${created.id}  ${created.status}`);

    heading('4. Watch it (events are also at the URL below, live, for curl -N)');
    command(curlCommand(`${baseUrl}/jobs/${created.id}/events`));
    const answers = collectAnswers(prompts);
    const job = await watchJob(client, created.id, openScreen(process.stdout), { signal, onEvent: answers.add });
    if (job.status !== 'succeeded') throw new CliError(`the job ended ${job.status}${job.error ? `: ${job.error.message}` : ''}`);

    heading('5. Download the adapter (a LoRA for PEFT, vLLM and llama.cpp)');
    command(curlCommand(`${baseUrl}/jobs/${created.id}/adapter?format=peft`, { output: 'adapter.tar' }));
    const folder = await freshFolder(resolve(quickstart.outFolder));
    for (const file of await pullAdapter(client, created.id, { format: 'peft' }, folder)) say(`    ${file.name}  (${file.bytes} bytes)`);

    heading('6. What the training changed');
    say(losses(await client.metrics(created.id)));
    say(`\n${sideBySide(answers.answers, process.stdout.columns ?? 100)}`);
    say(closing(folder, created.id, stack.ownedByUs));
  } finally {
    await stack.stop();
  }
}

const interrupt = new AbortController();
process.on('SIGINT', () => {
  say('\nStopping. The job goes on at the next `npm start`, from its last checkpoint.');
  interrupt.abort();
});
try {
  await run(interrupt.signal);
} catch (error) {
  process.exitCode = interrupt.signal.aborted ? 130 : reportError(error);
}
