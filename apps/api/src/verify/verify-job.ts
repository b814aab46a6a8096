/**
 * Recomputes everything that ties a job's adapter to its checkpoints, configuration, data and base. The end of the chain is anchored in the tables (hash of the adapter's
 * manifest, hashes of the checkpoints' manifests); from there each manifest names its files and its predecessor. Reads each object once and keeps none.
 */
import { AdapterManifest, CheckpointManifest, parseAs, type VerificationLine, type VerificationLink } from '@rowsmith/contracts';
import type { CheckpointRecord } from '@rowsmith/core';
import { JobLinks, type JobLinksInput } from './job-links.js';
import { readManifestObject } from './read-object.js';

export interface VerifyInput extends JobLinksInput {
  /** All of the job, newest first, as they stand when it is called: checkpoints of a running job come and go. */
  readonly recorded: () => Promise<readonly CheckpointRecord[]>;
}

type Lines = AsyncGenerator<VerificationLink, void, void>;
const rowsName = 'rows.safetensors';
const nameOf = ({ step, epoch }: CheckpointRecord): string => `checkpoint-${step} (attempt ${epoch})`;

/** The links, then the verdict. Throws only what the store or the tables throw. */
export async function* verifyJob(input: VerifyInput): AsyncGenerator<VerificationLine, void, void> {
  const verification = new JobVerification(input);
  yield* verification.run();
  yield verification.verdict();
}

class JobVerification {
  readonly #links: JobLinks;
  #adapter: AdapterManifest | null = null;
  /** Read and whole, by the hash of the manifest. */
  readonly #whole = new Map<string, CheckpointManifest>();
  /** Manifests that were looked at as parts of the chain. */
  readonly #chain = new Set<string>();

  constructor(private readonly input: VerifyInput) {
    this.#links = new JobLinks(input);
  }

  verdict() {
    return this.#links.verdict(this.input.job.id, this.#chain.size);
  }

  async *run(): Lines {
    yield* this.#links.dataFiles();
    yield* this.#adapterItself();
    const recorded = await this.input.recorded();
    yield* this.#checkpoints(recorded);
    yield* this.#aside(recorded);
    yield* this.#adapterRows();
  }

  async *#adapterItself(): Lines {
    const { job, objects } = this.input;
    if (job.adapterManifestKey === null) return;
    const read = await readManifestObject(objects, job.adapterManifestKey);
    const expected = job.adapterManifestSha256;
    const manifest = parsed(AdapterManifest, read?.content ?? null, 'adapter manifest');
    const wrong = read !== null && typeof manifest === 'string' && (expected === null || expected === read.sha256);
    yield this.#links.line('adapter', 'manifest', {
      ...{ expected, found: read?.sha256 ?? null, key: job.adapterManifestKey },
      ...(read && { bytes: read.bytes }),
      ...(wrong && { status: 'broken' as const, message: manifest }),
    });
    // What a damaged manifest says is nobody's word.
    if (typeof manifest === 'string' || (expected !== null && read?.sha256 !== expected)) return;
    this.#adapter = manifest;
    yield* this.#links.binding('adapter', manifest);
    yield* this.#links.files('adapter', manifest.files);
  }

  /** From the end backwards along the predecessors. Where a manifest is gone or damaged the thread is lost: all older ones are then looked at by themselves. */
  async *#checkpoints(recorded: readonly CheckpointRecord[]): Lines {
    let of = 'adapter';
    let sha256 = this.#adapter?.checkpoint_sha256 ?? null;
    if (sha256 === null) {
      [of, sha256] = ['job', recorded[0]?.manifestSha256 ?? null];
      if (this.#adapter && recorded.length > 0)
        yield this.#links.line('adapter', 'last checkpoint', {
          expected: null,
          found: sha256,
          message: 'The manifest is from before it named one.',
        });
    } else yield this.#predecessor('adapter', 'last checkpoint', sha256, recorded);
    let best: number | undefined;
    let later: CheckpointRecord | undefined;
    while (sha256 !== null) {
      const record = recorded.find(({ manifestSha256 }) => manifestSha256 === sha256);
      if (record === undefined || this.#chain.has(sha256)) break;
      if (later && record.step >= later.step)
        yield this.#links.line(of, 'order', { expected: null, found: null, message: `Its predecessor is of step ${record.step}.` });
      const manifest: CheckpointManifest | null = yield* this.#checkpoint(record, recorded);
      best ??= manifest?.cursor['best_step'];
      if (manifest === null) {
        yield* this.#older(record, recorded);
        break;
      }
      [of, later, sha256] = [nameOf(record), record, manifest.previous_sha256];
    }
    yield* this.#best(best, recorded);
  }

  #predecessor(of: string, link: string, sha256: string, recorded: readonly CheckpointRecord[]): VerificationLink {
    const found = recorded.find(({ manifestSha256 }) => manifestSha256 === sha256);
    if (found) return this.#links.line(of, link, { expected: sha256, found: sha256, message: nameOf(found) });
    return this.#links.line(of, link, { expected: sha256, found: null, message: 'No checkpoint of the job has this hash.' });
  }

  /** Its manifest when it is whole, else null. */
  async *#checkpoint(
    record: CheckpointRecord,
    recorded: readonly CheckpointRecord[],
  ): AsyncGenerator<VerificationLink, CheckpointManifest | null, void> {
    const of = nameOf(record);
    const { manifestKey: key, manifestSha256: expected } = record;
    this.#chain.add(expected);
    const read = await readManifestObject(this.input.objects, key);
    if (read === null) {
      const gone = (await this.#mayBeGone(record)) ? { status: 'removed' as const, message: 'Newer ones took its place.' } : {};
      yield this.#links.line(of, 'manifest', { expected, found: null, key, ...gone });
      return null;
    }
    const manifest = parsed(CheckpointManifest, read.content, 'checkpoint manifest');
    const other = typeof manifest !== 'string' && (manifest.step !== record.step || manifest.epoch !== record.epoch);
    const wrong =
      read.sha256 !== expected ? null : typeof manifest === 'string' ? manifest : other ? 'It is of another step or attempt.' : null;
    yield this.#links.line(of, 'manifest', {
      ...{ expected, found: read.sha256, bytes: read.bytes, key },
      ...(wrong !== null && { status: 'broken' as const, message: wrong }),
    });
    if (read.sha256 !== expected || typeof manifest === 'string') return null;
    this.#whole.set(expected, manifest);
    yield* this.#links.binding(of, manifest);
    yield* this.#links.files(of, manifest.files);
    if (manifest.previous_sha256 !== null) yield this.#predecessor(of, 'predecessor', manifest.previous_sha256, recorded);
    return manifest;
  }

  /** Retention keeps the newest `keep_checkpoints`, and counts those that a later attempt did not go on from. */
  async #mayBeGone(record: CheckpointRecord): Promise<boolean> {
    if (record.removedAt !== null) return true;
    const now = (await this.input.recorded()).filter(({ quarantineReason }) => quarantineReason === null);
    return now.findIndex(({ id }) => id === record.id) >= this.input.job.spec.row_sparse.keep_checkpoints;
  }

  async *#older(last: CheckpointRecord, recorded: readonly CheckpointRecord[]): Lines {
    const from = recorded.findIndex(({ id }) => id === last.id) + 1;
    for (const record of recorded.slice(from)) if (record.quarantineReason === null) yield* this.#checkpoint(record, recorded);
  }

  async *#best(step: number | undefined, recorded: readonly CheckpointRecord[]): Lines {
    if (step === undefined || !this.input.job.spec.row_sparse.keep_best) return;
    if ([...this.#whole.values()].some((manifest) => manifest.step === step)) return;
    const record = recorded.find((candidate) => candidate.step === step);
    const message = `The checkpoint of step ${step}, of the lowest validation loss, is not there or not whole.`;
    yield this.#links.line('job', 'best checkpoint', { expected: record?.manifestSha256 ?? null, found: null, message });
  }

  /** Attempts that repeat a step write the same bytes: a difference says that something was not computed again as it was. */
  async *#aside(recorded: readonly CheckpointRecord[]): Lines {
    for (const record of recorded) {
      if (this.#chain.has(record.manifestSha256)) continue;
      const message =
        record.quarantineReason === null ? 'A later attempt did not go on from it.' : `In quarantine: ${record.quarantineReason}`;
      const read = record.quarantineReason === null ? await readManifestObject(this.input.objects, record.manifestKey) : null;
      const [expected, key] = [record.manifestSha256, record.manifestKey];
      const manifest = read?.sha256 === expected ? parsed(CheckpointManifest, read.content, 'checkpoint manifest') : null;
      yield this.#links.line(nameOf(record), 'manifest', { expected, found: read?.sha256 ?? null, key, status: 'aside', message });
      if (manifest === null || typeof manifest === 'string') continue;
      const again = [...this.#whole.values()].find(({ step, operators }) => step === manifest.step && operators === manifest.operators);
      for (const { name, sha256 } of again?.files ?? []) {
        const first = manifest.files.find((file) => file.name === name);
        const repeated = { message: `Repeated in attempt ${again?.epoch}, with ${first?.sha256 === sha256 ? 'the same' : 'other'} bytes.` };
        yield this.#links.line(nameOf(record), `${name} repeated`, { expected: first?.sha256 ?? null, found: sha256, ...repeated });
      }
    }
  }

  /** The adapter's rows are those of the checkpoint of its step, byte for byte. */
  async *#adapterRows(): Lines {
    const adapter = this.#adapter;
    if (adapter === null) return;
    const found = adapter.files.find(({ name }) => name === rowsName)?.sha256 ?? null;
    const checkpoint = [...this.#whole.values()].find(({ step }) => step === adapter.step);
    const expected = checkpoint?.files.find(({ name }) => name === rowsName)?.sha256 ?? null;
    const message = checkpoint ? `As in the checkpoint of step ${adapter.step}.` : `There is no whole checkpoint of step ${adapter.step}.`;
    yield this.#links.line('adapter', 'rows of the checkpoint', {
      ...{ expected, found },
      ...((!checkpoint || expected === found) && { message }),
    });
  }
}

/** Or what is wrong with it. */
function parsed<T extends typeof AdapterManifest | typeof CheckpointManifest>(schema: T, content: Buffer | null, where: string) {
  if (content === null) return `The ${where} is larger than one can be.`;
  try {
    return parseAs(schema, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content)), where);
  } catch (error) {
    return error instanceof Error ? error.message : `The ${where} cannot be read.`;
  }
}
