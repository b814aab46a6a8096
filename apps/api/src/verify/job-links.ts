/** Links between a job and what it left: its data, and what every manifest says of it. */
import {
  type AdapterManifest,
  type CheckpointManifest,
  canonicalJson,
  configIdentity,
  dataIdentity,
  type ManifestFile,
  type ObjectRef,
  type VerificationLink,
} from '@rowsmith/contracts';
import { isFinal, type JobRecord, type ObjectStore } from '@rowsmith/core';
import { Links } from './links.js';
import { hashObject, sha256Of } from './read-object.js';

export interface JobLinksInput {
  readonly job: JobRecord;
  readonly objects: Pick<ObjectStore, 'get'>;
  /** Of the base model; null: it is not in the model store any more, so that hashes of the data are only compared with each other. */
  readonly tokenizerSha256: string | null;
}

type Lines = AsyncGenerator<VerificationLink, void, void>;

export class JobLinks extends Links {
  readonly #config: string;
  /** null: not known until a manifest has said it. */
  #data: string | null;

  constructor(private readonly input: JobLinksInput) {
    super();
    const { spec } = input.job;
    this.#config = sha256Of(canonicalJson(configIdentity(spec)));
    this.#data = input.tokenizerSha256 === null ? null : sha256Of(canonicalJson(dataIdentity(spec, input.tokenizerSha256)));
  }

  async *dataFiles(): Lines {
    const { job, objects } = this.input;
    const { training_data, mixture, validation_data } = job.spec;
    const refs: readonly (readonly [string, ObjectRef])[] = [
      ...(mixture ?? [{ file: '', data: training_data }]).map(({ data }, i) => [`training data ${i + 1}`, data] as const),
      ...(validation_data ? [['validation data', validation_data] as const] : []),
    ];
    for (const [name, { key, sha256 }] of refs) {
      const found = await hashObject(objects, key);
      const gone = found === null && isFinal(job.status) ? { status: 'removed' as const, message: 'The file was deleted since.' } : {};
      yield this.line('job', name, {
        expected: sha256,
        found: found?.sha256 ?? null,
        ...(found && { bytes: found.bytes }),
        key,
        ...gone,
      });
    }
  }

  *binding(of: string, manifest: CheckpointManifest | AdapterManifest): Generator<VerificationLink, void, void> {
    const { job } = this.input;
    if (manifest.job_id !== job.id)
      yield this.line(of, 'job', { expected: null, found: null, message: `It belongs to ${manifest.job_id}.` });
    yield this.line(of, 'config', { expected: this.#config, found: manifest.config_sha256 });
    yield this.line(of, 'base', { expected: job.spec.base_sha256, found: manifest.base_sha256 });
    const unknown = { message: 'The base model, whose tokenizer the hash is of too, is not here. The others are compared with this one.' };
    yield this.line(of, 'data', { expected: this.#data, found: manifest.data_sha256, ...(this.#data === null && unknown) });
    this.#data ??= manifest.data_sha256;
  }

  async *files(of: string, files: readonly ManifestFile[]): Lines {
    for (const { name, key, sha256, bytes } of files) {
      const found = await hashObject(this.input.objects, key);
      const size = found && found.bytes !== bytes ? { message: `It has ${found.bytes} bytes, the manifest says ${bytes}.` } : {};
      yield this.line(of, name, {
        ...{ expected: sha256, found: found?.sha256 ?? null, key, ...size },
        ...(found && { bytes: found.bytes }),
      });
    }
  }
}
