import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError } from '../errors.js';
import { isPickle, pickleRefused } from '../folder/import-folder.js';
import type { OnProgress } from '../packed/write-packed.js';
import { shardNames } from '../safetensors/sharded.js';
import { type DownloadLimits, downloadFile } from './download.js';
import type { HubClient, HubFile, HubRepo } from './hub-client.js';

const needed = ['config.json', 'tokenizer.json'];
const optional = ['generation_config.json', 'tokenizer_config.json', 'chat_template.jinja'];
const single = 'model.safetensors';
const index = 'model.safetensors.index.json';
const pickled = ['pytorch_model.bin', 'pytorch_model.bin.index.json'];

/**
 * Downloads what a model needs, at one commit, into `dir`. Files there with the right size were verified when they got their name and are
 * not fetched again. Nothing else of the repository is touched.
 */
export async function fetchModel(
  client: HubClient,
  repo: HubRepo,
  commit: string,
  dir: string,
  onProgress: OnProgress,
  limits?: DownloadLimits,
): Promise<void> {
  const found = await client.files(repo, commit, [...needed, ...optional, single, index, ...pickled]);
  const missing = needed.filter((path) => !found.has(path));
  if (missing.length > 0) throw new ModelError('missing_file', `${repo.id}@${commit.slice(0, 12)} has no ${missing.join(', ')}`);
  let weights: HubFile[];
  const one = found.get(single);
  const sharded = found.get(index);
  if (one) weights = [one];
  else if (sharded) {
    await fetchAll([sharded]);
    weights = await shards();
  } else {
    const pickle = pickled.find((path) => found.has(path));
    if (pickle) throw pickleRefused(isPickle(pickle) ? pickle : 'pytorch_model.bin');
    throw new ModelError('missing_file', `${repo.id}@${commit.slice(0, 12)} has no ${single} and no ${index}`);
  }
  await fetchAll([...[...needed, ...optional].flatMap((path) => found.get(path) ?? []), ...weights]);

  async function shards(): Promise<HubFile[]> {
    let weightMap: unknown;
    try {
      weightMap = (JSON.parse(await readFile(join(dir, index), 'utf8')) as { weight_map?: unknown } | null)?.weight_map;
    } catch (cause) {
      throw new ModelError('bad_safetensors', `is not JSON (${(cause as Error).message})`, { file: index, cause });
    }
    const names = shardNames(weightMap, index).shards;
    const files = await client.files(repo, commit, names);
    return names.map((name) => {
      const file = files.get(name);
      if (!file) throw new ModelError('missing_file', `${repo.id} has no ${name}, which ${index} names`);
      return file;
    });
  }

  async function fetchAll(files: readonly HubFile[]): Promise<void> {
    const total = files.reduce((sum, file) => sum + file.size, 0);
    let before = 0;
    for (const file of files) {
      const target = join(dir, file.path);
      const size = await stat(target).then(
        (s) => s.size,
        () => -1,
      );
      if (size !== file.size) {
        const at = before;
        await downloadFile(
          client,
          repo,
          commit,
          file,
          target,
          (done) => onProgress({ phase: 'downloading', done: at + done, total }),
          limits,
        );
      }
      before += file.size;
    }
  }
}
