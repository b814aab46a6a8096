import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelError, quoted } from '../errors.js';
import { importFolder, isPickle, pickleRefused } from '../folder/import-folder.js';
import { importGguf } from '../gguf/import-gguf.js';
import type { DownloadLimits } from '../hub/download.js';
import { fetchModel } from '../hub/fetch-model.js';
import { type HubAccess, HubClient, type HubRepo, parseHubReference } from '../hub/hub-client.js';
import { type Added, type AddOptions, addImported, asModelError, defaultModelId } from './add-model.js';
import { checkModelId, readIndex, recover } from './model-store.js';

export interface AddReferenceOptions extends AddOptions {
  readonly hub?: HubAccess;
  readonly downloadLimits?: DownloadLimits;
}

/**
 * Adds the model that `reference` names: a Hugging Face folder, a GGUF file, or a hub id `owner/name[@revision]`. A path that exists wins.
 * Adding what is there already is a no-op (`present`).
 */
export async function addModel(reference: string, options: AddReferenceOptions): Promise<Added> {
  try {
    const there = await stat(reference).catch(() => null);
    if (there?.isDirectory()) return await addImported(await importFolder(reference), options);
    if (isPickle(reference)) throw pickleRefused(reference);
    if (/\.gguf$/i.test(reference)) return await addImported(await importGguf(reference), options);
    if (there)
      throw new ModelError('unsupported', 'is neither a folder nor a .gguf file; for safetensors give the folder that holds config.json', {
        file: reference,
      });
    const repo = parseHubReference(reference);
    if (!repo)
      throw new ModelError('missing_file', `${quoted(reference)} is no folder, no .gguf file and no hub id (owner/name[@revision])`);
    return await addFromHub(repo, options);
  } catch (error) {
    throw asModelError(error);
  }
}

/** Downloads are kept between attempts under `<store>/.download-<owner>--<name>-<commit>` and removed once the model is packed. */
async function addFromHub(repo: HubRepo, options: AddReferenceOptions): Promise<Added> {
  const id = checkModelId(options.id ?? defaultModelId(repo.id));
  const client = new HubClient(options.hub ?? {});
  const commit = await client.commit(repo);
  const dir = join(options.store, id);
  const index = await readIndex(dir).catch(() => null);
  if (index?.source.kind === 'hub' && index.source.name === repo.id && index.source.revision === commit)
    return { index, dir, outcome: 'present' };
  if (index && !options.replace) {
    throw new ModelError('id_in_use', `id ${id} already names another model (${index.source.name}); choose another --id, or --replace it`);
  }
  await recover(options.store);
  const folder = join(options.store, `.download-${repo.id.replace('/', '--')}-${commit}`);
  await fetchModel(client, repo, commit, folder, options.onProgress ?? (() => {}), options.downloadLimits);
  const added = await addImported(await importFolder(folder, { kind: 'hub', name: repo.id, revision: commit }), { ...options, id });
  await rm(folder, { recursive: true, force: true });
  return added;
}
