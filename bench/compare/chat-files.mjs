/** Real chat files for the comparison, out of a pinned package of the Python package index (its licence: MIT), encoded as a job encodes them: answers only. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeDataset } from '@rowsmith/data';
import { loadChatTemplate, loadTokenizer, openPackedModel } from '@rowsmith/hf';
import { cacheFolder, extractMember, fetchWheel, listZip } from '@rowsmith/native';

const wheel = {
  project: 'evals',
  version: '3.0.1.post1',
  sha256: '0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78',
  bytes: 46_322_659,
};
/** sql: a schema and a question, answered by a query; lengths vary threefold. dates: every example has 86 or 87 tokens, so that there is hardly any padding. */
const members = {
  sql: 'evals/registry/data/sql/spider_sql.jsonl',
  dates: 'evals/registry/data/imperial_date_to_string/samples.jsonl',
};

async function download(folder) {
  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, '.tmp-'));
  try {
    const path = await fetchWheel(wheel, scratch);
    const listed = await listZip(path);
    for (const [name, member] of Object.entries(members)) {
      const found = listed.find((entry) => entry.name === member);
      if (!found) throw new Error(`${wheel.project} has no ${member}`);
      await extractMember(path, found, join(scratch, name), () => undefined);
      await rename(join(scratch, name), join(folder, `${name}.jsonl`));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Writes the examples of one of the files, [{ids, labels}] as JSON, to `path`. */
export async function writeChatExamples(name, modelFolder, path) {
  const folder = join(cacheFolder(), 'bench-data', wheel.version);
  const file = join(folder, `${name}.jsonl`);
  if (!existsSync(file)) await download(folder);
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.trim() !== '');
  const chat = lines.map((line) => {
    const { input, ideal } = JSON.parse(line);
    const messages = input.map(({ role, content }) => ({ role, content }));
    return JSON.stringify({ messages: [...messages, { role: 'assistant', content: [ideal].flat()[0] }] });
  });
  const { config } = (await openPackedModel(modelFolder)).index;
  const dataset = await encodeDataset([Buffer.from(`${chat.join('\n')}\n`)], {
    tokenizer: await loadTokenizer(modelFolder),
    template: await loadChatTemplate(modelFolder),
    trainOn: 'assistant',
    maxSeqLength: 1024,
    eosId: config.eos_token_ids[0],
  });
  await writeFile(path, JSON.stringify(dataset.examples.map(({ ids, labels }) => ({ ids: [...ids], labels: [...labels] }))));
}
